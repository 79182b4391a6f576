"""How many lane-iterations are executed for those that are needed, with packing and without?

Lanes that have ended are retired and the survivors packed into smaller buckets; in lock step every
lane waits for the slowest. 1000 starts, n = 1000, d = 2, K = 5, full covariance.
"""

from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness.figures import STYLES
from bench.harness.fits import full_mixture
from bench.harness.problems import overlapping
from bench.harness.rows import Part, Verdict, outcome, row

TOLERANCES = (1e-4, 1e-6)

#: Executed over needed, at most.
GOAL = 1.3


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by tolerance: packed, raced, and what lock step would have executed."""
    n, n_starts = (200, 64) if quick else (1000, 1000)
    x, rows = overlapping(n, 2, 5), []
    for tol in TOLERANCES:
        options = dict(key=jax.random.key(0), n_starts=n_starts, tol=tol, max_iter=2000)
        for race in (False, True):
            fits = jaxem.fit(full_mixture(5), x, race=race, **options)
            name = f"packed{', race' if race else ''}, tol {tol:g}"
            rows.append(_row(name, fits, x.shape, fits.report.executed))
            if not race:
                every = int(n_starts * (np.max(fits.n_iter) + 1))
                rows.append(_row(f"lock step, tol {tol:g}", fits, x.shape, every))
    return rows


def _row(name, fits, shape, executed) -> dict[str, Any]:
    needed = int(np.sum(np.asarray(fits.n_iter) + 1))
    packed = name.startswith("packed")
    return row(
        name,
        (*shape, 5, len(fits.status)),
        fits.report.run_seconds if packed else None,
        **outcome(fits),
        compile_seconds=fits.report.compile_seconds if packed else None,
        dtype="float32",
        executed=executed,
        needed=needed,
        waste=executed / needed,
    )


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Executed over needed lane-iterations; lock step has no goal, it is what packing saves."""
    goals = [GOAL if one["what"].startswith("packed") else None for one in rows]
    return [
        Verdict(one["what"], one["waste"], "<=", goal)
        for one, goal in zip(rows, goals, strict=True)
    ]


def draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Executed over needed."""
    figure.set_figheight(3.0)
    axes = figure.subplots()
    values = [r["waste"] for r in rows]
    colours = [STYLES[0][0] if r["what"].startswith("packed") else STYLES[1][0] for r in rows]
    bars = axes.barh([r["what"] for r in rows], values, color=colours)
    axes.bar_label(bars, [f"{v:.2f}" for v in values], padding=3, fontsize=8)
    axes.axvline(GOAL, color="0.3", linestyle=":")
    axes.invert_yaxis()
    axes.set(xlabel=f"executed / needed lane-iterations (dotted: the goal, {GOAL:g})")
    axes.set_xlim(0, max(values) * 1.15)
    axes.set_title(f"{rows[0]['lanes']} starts: packing against lock step")


PARTS = {"waste": Part(run, verdicts, draw)}
