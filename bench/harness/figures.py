"""What the figures of questions share; colours of Okabe and Ito (2008), shapes differ too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.harness.rows import stamp

#: Colour and marker of a series; jaxem is always the first.
STYLES = (
    ("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#D55E00", "v"),
    ("#56B4E9", "P"), ("#000000", "X"), ("#F0E442", "*"), ("#999999", "h"), ("#0072B2", "<"),
    ("#E69F00", ">"),
)  # fmt: skip


def save(draw: Callable[[Any, list[dict]], None], rows: list[dict], out: Path) -> bool:
    """Draw the rows as PNG, with a note of where they were measured; False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), dpi=130, layout="constrained")
    draw(figure, rows)
    figure.supxlabel(stamp(rows[0]), fontsize=7, color="0.35", x=0.99, ha="right")
    figure.savefig(out)
    return True


def plot_lines(axes, rows: list[dict], across: str, names: list[str]) -> None:
    """Nanoseconds per responsibility of each name over `across`, both logarithmic."""
    for name, (colour, marker) in zip(names, STYLES, strict=False):
        own = [r for r in rows if r["what"] == name and r["ns_per_responsibility"]]
        x = [r[across] for r in own]
        y = [r["ns_per_responsibility"] for r in own]
        axes.plot(x, y, color=colour, marker=marker, markersize=5, label=name)
    values = sorted({r[across] for r in rows})
    axes.set(xscale="log", yscale="log", ylabel="ns per responsibility")
    plain_numbers(axes.yaxis)
    axes.set_xticks(values, [f"{v:g}" for v in values])
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)


def plot_dots(axes, rows: list[dict], value: str, names: list[str] | None = None) -> None:
    """One dot a row on a logarithmic axis, its value written beside it; jaxem's in its own colour
    and shape."""
    for own, (colour, marker) in zip((True, False), STYLES, strict=False):
        for i, one in enumerate(rows):
            if own == ("jaxem" in one["what"]):
                axes.plot(one[value], i, marker, color=colour, markersize=7)
                label, where = f"{one[value]:.3g}", (one[value], i)
                axes.annotate(label, where, (7, -3), textcoords="offset points", fontsize=8)
    known = [one[value] for one in rows]
    axes.set(xscale="log", xlim=(min(known) / 1.5, max(known) * 3))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    name_rows(axes, names or [r["what"] for r in rows], fontsize=8)


def plot_series(axes, series: dict[str, list[float]], names: list[str]) -> None:
    """One value of every series a name, from the top down, on a logarithmic axis."""
    for (label, values), (colour, marker) in zip(series.items(), STYLES, strict=False):
        axes.plot(values, range(len(values)), marker, color=colour, label=label, markersize=7)
    axes.set(xscale="log")
    axes.invert_yaxis()
    name_rows(axes, names, fontsize=8)
    axes.legend(fontsize=8)


def name_rows(axes, names: list[str], **style: Any) -> None:
    """Names at 0, 1, 2, ... of the vertical axis, plain numbers along the other."""
    axes.set_yticks(range(len(names)), names, **style)
    plain_numbers(axes.xaxis)
    axes.grid(alpha=0.3)


def plain_numbers(axis) -> None:
    """1, 2, 5, 10 rather than powers of ten; fewer where many decades are shown."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    subs = (1, 2, 5) if high / low < 200 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")
