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
    rows = question.run(quick)
    verdicts = question.verdicts(rows)
    if quick:  # goals are for full sizes
        verdicts = [table.Verdict(v.what, v.value) for v in verdicts]
    path = table.write(name, title, rows, verdicts, quick, out)
    table.show(rows, verdicts)
    if draw and name in figures.FIGURES:
        figures.draw(path)
    return rows
