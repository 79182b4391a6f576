"""How exact are float32 fits, and does a tolerance below their rounding hold?

`precision`: the same float32 data fitted in float32 and in float64 from 64 starts, tolerance 1e-7
per row. Two differences, relative: the reported likelihood against the exact one of the same
parameters, and the two winners' exact likelihoods against one another.

`resolution`: whole fits of float32 data with a tolerance of 1e-8 per row, which float32 steps
cannot tell from rounding: the best go on in float64, and every winner should converge.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness import figures, reference
from bench.harness.fits import full_mixture
from bench.harness.problems import bundled, narrow, overlapping, scattered
from bench.harness.rows import Part, Verdict, outcome, row

#: Largest relative error of a likelihood.
GOAL = 1e-6


def run_precision(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by problem and precision."""
    for name, (x, k) in _precision_problems(quick).items():
        for dtype in ("float32", "float64"):
            yield _precision_row(name, x.astype(np.float32), k, dtype, 16 if quick else 64)


def _precision_problems(quick: bool) -> dict[str, tuple[np.ndarray, int]]:
    if quick:
        return {"narrow 0.1": (narrow(300, 0.1), 3)}
    return {
        "overlapping d=2 K=3": (overlapping(5000, 2, 3), 3),
        "overlapping d=8 K=4": (overlapping(5000, 8, 4), 4),
        "scattered d=2 K=15": (scattered(5000), 15),
        "old_faithful K=2": (bundled("old_faithful"), 2),
        "diabetes K=3": (bundled("diabetes"), 3),
        "at 1e5, deviation 1": (overlapping(5000, 2, 3) + 1e5, 3),
        "narrow 0.1": (narrow(5000, 0.1), 3),
        "narrow 0.03": (narrow(5000, 0.03), 3),
        "narrow 0.01": (narrow(5000, 0.01), 3),
        "narrow 0.001": (narrow(5000, 0.001), 3),
    }


def _precision_row(name, x, k, dtype, n_starts) -> dict[str, Any]:
    given = x.astype(dtype)
    options: Any = dict(n_starts=n_starts, tol=1e-7, race=False)
    fits = jaxem.fit(full_mixture(k), given, key=jax.random.key(0), **options)
    best = fits.best()
    return row(
        f"{name}, {dtype}",
        (*x.shape, k, n_starts),
        fits.report.run_seconds,
        **outcome(fits),
        compile_seconds=fits.report.compile_seconds,
        dtype=dtype,
        problem=name,
        exact_log_likelihood=reference.of_fit(best, x),
        winner=jaxem.Status(int(best.status)).name,
    )


def precision_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Relative differences by problem."""
    out = []
    for single, double in zip(rows[::2], rows[1::2], strict=True):
        exact = single["exact_log_likelihood"]
        reported = abs(single["best_log_likelihood"] - exact) / abs(exact)
        name = single["problem"]
        out.append(Verdict(f"{name}: reported, relative error", reported, "<=", GOAL))
        gap = (double["exact_log_likelihood"] - exact) / abs(exact)
        out.append(Verdict(f"{name}: winner below float64's, relative", gap, "<=", GOAL))
    return out


def run_resolution(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by problem."""
    for name, (x, k) in _resolution_problems(quick).items():
        n_starts = 4 if quick else 8
        options: dict[str, Any] = dict(n_starts=n_starts, tol=1e-8, max_iter=20000)
        given = x.astype(np.float32)
        fits = jaxem.fit(full_mixture(k), given, key=jax.random.key(0), **options)
        known = outcome(fits) | {"winner": jaxem.Status(int(fits.best().status)).name}
        size = (*x.shape, k, n_starts)
        yield row(f"{name}, whole fits", size, dtype="float32", problem=name, **known)


def _resolution_problems(quick: bool) -> dict[str, tuple[np.ndarray, int]]:
    if quick:
        return {"overlapping d=2 K=3": (overlapping(200, 2, 3), 3)}
    return {
        "old_faithful K=3": (bundled("old_faithful"), 3),
        "overlapping n=1000 d=2 K=3": (overlapping(1000, 2, 3), 3),
        "overlapping n=8000 d=4 K=8": (overlapping(8000, 4, 8), 8),
        "overlapping n=20000 d=8 K=8": (overlapping(20_000, 8, 8), 8),
        "overlapping n=5000 d=16 K=4": (overlapping(5000, 16, 4), 4),
    }


def resolution_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Whether each winner met the tolerance."""
    out = []
    for one in rows:
        met = float(one["winner"] == "CONVERGED")
        out.append(Verdict(f"winner converged at 1e-8, {one['problem']}", met, ">=", 1.0))
    return out


def draw_precision(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Relative errors by problem."""
    axes = figure.subplots()
    reported, reached = "reported likelihood", "winner below float64's"
    series: dict[str, list[float]] = {reported: [], reached: []}
    for single, double in zip(rows[::2], rows[1::2], strict=True):
        exact = single["exact_log_likelihood"]
        errors = abs(single["best_log_likelihood"] / exact - 1)
        below = (double["exact_log_likelihood"] - exact) / abs(exact)
        series[reported].append(max(errors, 1e-10))
        series[reached].append(max(below, 1e-10))
    figures.plot_series(axes, series, [one["problem"] for one in rows[::2]])
    axes.axvline(GOAL, color="0.3", linestyle=":")
    axes.set_xlabel("relative difference, 1e-10 and below at the edge (dotted: goal)")
    axes.set_title("float32 against float64")


PARTS = {
    "precision": Part(run_precision, precision_verdicts, draw_precision),
    "resolution": Part(run_resolution, resolution_verdicts),
}
