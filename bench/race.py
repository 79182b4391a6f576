"""Does the race between starts lose an optimum, and what does it save?

The bundled data sets in float64, simulated ones in float32, full covariance; the race against all
starts run to the end, tolerance 1e-6 per row.

Last answer: no optimum lost on six of nine problems; 0.8, 4.3 and 3.4 nats on three whose best
optimum one start in 500 reaches, and which stood behind 454, 220 and 489 of the 500 after 20
iterations, the race's last look. As many iterations without a race, fewer starts to their end,
would have lost 0.4, 4.0 and 4.3 nats. Two cores of an AMD EPYC with AVX-512, jax 0.10.2, November
2026.
"""

import time
from functools import partial
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness import reference
from bench.harness.machine import cores
from bench.harness.problems import bundled, overlapping, scattered
from bench.harness.rows import Verdict, outcome, row
from bench.harness.timing import interleaved
from jaxem.search.race import RUNGS

#: Objectives closer than this, in nats, are one optimum.
SAME = 0.05


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by problem, with and without the race."""
    rows = []
    for name, (x, k, n_starts) in _problems(quick).items():
        done: dict[str, Any] = {}
        variants = {
            label: partial(_fit, done, label, x, k, n_starts, race)
            for label, race in (("race", True), ("all to the end", False))
        }
        times = interleaved(variants, 8.0, least=1, most=1 if quick else 3)
        both = [_row(name, label, times[label], done[label], x, k) for label in variants]
        raced, full = done["race"], done["all to the end"]
        both[1] |= _ranks(full, x, k, n_starts)
        share = raced.report.needed / full.report.needed
        both[1]["loss_at_same_work"] = _loss_of_few(full, max(1, round(share * n_starts)))
        rows += both
    return rows


def _problems(quick: bool) -> dict[str, tuple[np.ndarray, int, int]]:
    """x, K and starts."""
    if quick:
        return {"galaxies K=3": (bundled("galaxies"), 3, 64)}
    return {
        "galaxies K=3": (bundled("galaxies"), 3, 500),
        "galaxies K=5": (bundled("galaxies"), 5, 500),
        "old_faithful K=3": (bundled("old_faithful"), 3, 500),
        "old_faithful K=4": (bundled("old_faithful"), 4, 500),
        "diabetes K=3": (bundled("diabetes"), 3, 500),
        "diabetes K=4": (bundled("diabetes"), 4, 500),
        "overlapping n=2000 d=4 K=8": (overlapping(2000, 4, 8), 8, 500),
        "overlapping n=1000 d=8 K=5": (overlapping(1000, 8, 5), 5, 500),
        "scattered n=5000 d=2 K=15": (scattered(5000), 15, 500),
    }


def _fit(done, label, x, k, n_starts, race) -> float:
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    begun = time.perf_counter()
    done[label] = jaxem.fit(
        model, x, key=jax.random.key(1), n_starts=n_starts, race=race, tol=1e-6, max_iter=2000
    )
    return time.perf_counter() - begun


def _ranks(fits, x, k, n_starts) -> dict[str, int]:
    """How many starts stood before the one that ends best, when the race looked at them: what any
    race that ends the others there must keep."""
    winner, ranks = int(np.argmax(np.where(fits.sound, fits.objective, -np.inf))), {}
    for limit, _ in RUNGS:
        model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
        options: Any = dict(n_starts=n_starts, race=False, tol=1e-6, max_iter=limit)
        then = jaxem.fit(model, x, key=jax.random.key(1), **options).objective
        ranks[f"rank_after_{limit}"] = int(np.sum(then > then[winner]))
    return ranks


def _loss_of_few(fits, few: int) -> float:
    """Nats by which the best of so many of the starts, drawn by chance, is expected to be below
    the best of all: what the race must beat, for it makes as many iterations as they do.
    Starts that are not sound are drawn, but are never best."""
    value = np.sort(np.where(fits.sound, fits.objective, -np.inf).astype(float))[::-1]
    total, better, loss = len(value), 1.0, 0.0
    for i in range(int(np.isfinite(value).sum())):
        # The start of rank i is drawn, and none before it was.
        drawn = min(1.0, few / (total - i))
        loss += better * drawn * (value[0] - value[i])
        better *= 1 - drawn
    return loss / (1 - better)


def _row(name, label, timing, fits, x, k) -> dict[str, Any]:
    known = outcome(fits) | {"best_log_likelihood": reference.of_fit(fits.best(), x)}
    optima = fits.optima(gap=SAME)
    return row(
        f"{name}, {label}",
        (*x.shape, k, len(fits.status)),
        timing,
        **known,
        dtype=x.dtype.name,
        threads=cores(),
        problem=name,
        race=label == "race",
        distinct_optima=len(optima.values),
        best_count=optima.best_count,
        chance_of_another=optima.missed,
        waste=fits.report.waste,
    )


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Nats lost and time saved, by problem."""
    out = []
    for raced, full in zip(rows[::2], rows[1::2], strict=True):
        loss = full["best_log_likelihood"] - raced["best_log_likelihood"]
        out.append(Verdict(f"nats lost by the race, {raced['problem']}", loss, "<=", SAME))
        ratio = full["seconds"] / raced["seconds"]
        out.append(Verdict(f"times quicker by the race, {raced['problem']}", ratio))
        same = full["loss_at_same_work"]
        out.append(Verdict(f"nats lost by fewer starts, same work, {raced['problem']}", same))
        for limit, _ in RUNGS:
            what = f"starts before the final best after {limit} iterations, {raced['problem']}"
            out.append(Verdict(what, full[f"rank_after_{limit}"]))
    return out
