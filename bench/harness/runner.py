"""One question from its sizes to its file and figure."""

import importlib
from pathlib import Path
from typing import Any

from bench import figures
from bench.harness import rows as table


def answer(name: str, quick: bool, out: Path, draw: bool = True) -> list[dict[str, Any]]:
    """Ask the question, write its rows and figure, print them; returns the rows."""
    question = importlib.import_module(f"bench.{name}")
    title = (question.__doc__ or "").partition("\n")[0]
    print(f"\n== {name}: {title}", flush=True)
    table.show_head()
    rows: list[dict[str, Any]] = []
    partial = out / f"{name}.partial.json"
    for one in question.run(quick):
        # Shown and kept as they come: a lent machine may be taken back before the last.
        table.show_row(one)
        rows.append(one)
        table.write(partial, name, title, rows, [], quick)
    if not rows:  # nothing to measure here: what was measured elsewhere stays
        return rows
    verdicts = question.verdicts(rows)
    if quick:  # goals are for full sizes
        verdicts = [table.Verdict(v.what, v.value) for v in verdicts]
    path = out / f"{name}.json"
    table.write(path, name, title, rows, verdicts, quick)
    partial.unlink(missing_ok=True)
    for verdict in verdicts:
        print(verdict)
    if draw and name in figures.FIGURES:
        figures.draw(path)
    return rows
