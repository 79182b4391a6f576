"""Draws docs/floors.png, the rooms of the package and who imports whom: python docs/floors.py.

Read from the imports, so the picture is the code's. `python -m docs` draws it anew.
"""

import ast
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "jaxem"

#: Bottom to top, as in tests/test_architecture.py; several names are beside one another.
FLOORS = [
    ["core"], ["numerics"], ["data"], ["results"], ["devices"], ["kernels"], ["families"],
    ["models"], ["engine"], ["batch"], ["search"], ["stream"], ["api"], ["inference"], ["tools"],
    ["io", "plot", "sklearn", "cli", "convert", "demo", "datasets"],
]  # fmt: skip


def imported_by(room: str) -> dict[str, int]:
    """How many files of a room import each other room."""
    found: dict[str, int] = {}
    for path in (PACKAGE / room).rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxem."):
                names.add((node.module or "").split(".")[1])
            elif isinstance(node, ast.ImportFrom) and node.module == "jaxem":
                names |= {alias.name for alias in node.names}
        for name in names - {room}:
            found[name] = found.get(name, 0) + 1
    return found


def lines_of(room: str) -> int:
    """Lines of a room's files."""
    return sum(len(path.read_text().splitlines()) for path in (PACKAGE / room).rglob("*.py"))


def draw() -> Path:
    """The picture, written beside this file."""
    figure, axis = plt.subplots(figsize=(9, 8.5))
    places = {}
    for height, rooms in enumerate(FLOORS):
        for i, room in enumerate(rooms):
            places[room] = ((i + 0.5) * 8 / len(rooms), height)
    for room, (x, y) in places.items():
        for other, count in imported_by(room).items():
            if other in places:
                bend = 0.25 if len(FLOORS[y]) == 1 else 0.0
                style = dict(arrowstyle="-|>", color="0.7", lw=0.4 + 0.25 * min(count, 8))
                style["connectionstyle"] = f"arc3,rad={bend if y % 2 else -bend}"
                axis.annotate("", places[other], (x, y), arrowprops=style, zorder=1)
    for room, (x, y) in places.items():
        axis.text(
            x, y, f"{room}\n{lines_of(room)} lines", ha="center", va="center", fontsize=8,
            bbox=dict(boxstyle="round", fc="white", ec="0.3"), zorder=2,
        )  # fmt: skip
    axis.set_xlim(-0.5, 8.5)
    axis.set_ylim(-0.7, len(FLOORS) - 0.3)
    axis.axis("off")
    out = HERE / "floors.png"
    figure.savefig(out, dpi=110, bbox_inches="tight")
    return out


if __name__ == "__main__":
    print(draw())
