"""One question from its sizes to its file and figures, and its last answer from that file."""

import importlib
import json
from pathlib import Path
from typing import Any

from bench.harness import figures
from bench.harness import rows as table


def parts_of(name: str) -> dict[str, table.Part]:
    """The parts of a question by name; most have one, of the question's own name."""
    return importlib.import_module(f"bench.{name}").PARTS


def title_of(name: str) -> str:
    """The question, in words."""
    return (importlib.import_module(f"bench.{name}").__doc__ or "").partition("\n")[0]


def answer(name: str, quick: bool, out: Path, draw: bool = True) -> list[dict[str, Any]]:
    """Ask a question, "step", or one part of it, "step.growth": measure, print, write and draw.

    Parts that are not asked, or have nothing to measure on this machine, keep the rows in the
    file. Returns all rows.
    """
    question, _, only = name.partition(".")
    path, title, parts = out / f"{question}.json", title_of(question), parts_of(question)
    partial = path.with_suffix(".partial.json")
    print(f"\n== {name}: {title}", flush=True)
    table.show_head()
    measured: list[dict[str, Any]] = []
    for part in [only] if only else parts:
        for one in parts[part].run(quick):
            # Shown and kept as they come: a lent machine may be taken back before the last.
            table.show_row(one)
            measured.append(one | {"part": part})
            table.write(partial, question, title, measured, [], quick)
    if not measured:
        return []
    again = {one["part"] for one in measured}
    before = json.loads(path.read_text()) if path.is_file() else {"rows": [], "quick": quick}
    kept = [one for one in before["rows"] if one["part"] not in again]
    rows = measured + (kept if before["quick"] == quick else [])
    found = verdicts_of(question, rows)
    if quick:  # goals are for full sizes
        found = [table.Verdict(v.what, v.value) for v in found]
    table.write(path, question, title, rows, found, quick)
    partial.unlink(missing_ok=True)
    print(*found, sep="\n")
    if draw:
        redraw(question, out)
    return rows


def verdicts_of(name: str, rows: list[dict[str, Any]]) -> list[table.Verdict]:
    """What follows from the rows, part by part."""
    grouped = {part: [one for one in rows if one["part"] == part] for part in parts_of(name)}
    return [v for part, own in grouped.items() if own for v in parts_of(name)[part].verdicts(own)]


def show_last(name: str, folder: Path) -> None:
    """Print the answer in the question's file: where and when it was measured, rows, verdicts."""
    print(f"\n== {name}: {title_of(name)}")
    path = folder / f"{name}.json"
    if not path.is_file():
        print(f"not answered yet ({path} is missing)")
        return
    record = json.loads(path.read_text())
    table.show_head()
    for one in record["rows"]:
        table.show_row(one)
    for stamp in dict.fromkeys(map(table.stamp, record["rows"])):
        print(stamp)
    for one in record["verdicts"]:
        print(table.Verdict(*(one[field] for field in ("what", "value", "relation", "goal"))))


def redraw(name: str, folder: Path) -> list[Path]:
    """Draw the figures of the question's file, PART.png each; their paths."""
    path, made = folder / f"{name}.json", []
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    for part, one in parts_of(name).items():
        own = [row for row in rows if row["part"] == part]
        if own and one.figure and figures.save(one.figure, own, folder / f"{part}.png"):
            made.append(folder / f"{part}.png")
    return made
