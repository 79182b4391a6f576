"""What do the race between starts and split and merge find or lose, and at what cost?

`race`: the bundled data sets in float64, simulated ones in float32, full covariance; the race
against all starts run to the end, tolerance 1e-6 per row. Beside what is lost stands what fewer
starts, as many iterations in all as the race makes, would lose.

`split_merge`: k-means++ starts, tolerance 1e-6 per row, three keys: all starts to their ends, the
race, and the race with generations of proposals. A higher likelihood may be a spurious maximum's,
so the best is also told of what is not near one (`jaxem.models.judgement.STRICT`).
"""

import statistics
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness import figures, reference
from bench.harness.fits import full_mixture
from bench.harness.machine import cores
from bench.harness.problems import bundled, overlapping, scattered
from bench.harness.rows import Part, Verdict, outcome, row
from bench.harness.timing import Timing, interleaved
from jaxem.models.judgement import STRICT
from jaxem.search.race import RUNGS

ALL, RACE = "all to the end", "race"

#: Objectives closer than this, in nats, are one optimum.
SAME = 0.05

#: `split_merge`: keys, and the options of each variant.
KEYS = range(3)
VARIANTS: dict[str, dict[str, Any]] = {
    ALL: {"race": False},
    RACE: {"race": True},
    "3 generations": {"split_merge": 3},
    "10 generations": {"split_merge": 10},
}


def run_race(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by problem, with and without the race."""
    for name, (x, k, n_starts) in _race_problems(quick).items():
        done: dict[str, Any] = {}
        variants = {
            label: partial(_timed_fit, done, label, x, k, n_starts, race)
            for label, race in ((RACE, True), (ALL, False))
        }
        times = interleaved(variants, 8.0, least=1, most=1 if quick else 3)
        both = [_race_row(name, label, times[label], done[label], x, k) for label in variants]
        raced, full = done[RACE], done[ALL]
        both[1] |= _ranks(full, x, k, n_starts)
        share = raced.report.needed / full.report.needed
        both[1]["loss_at_same_work"] = _loss_of_few(full, max(1, round(share * n_starts)))
        yield from both


def _race_problems(quick: bool) -> dict[str, tuple[np.ndarray, int, int]]:
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


def _timed_fit(done, label, x, k, n_starts, race) -> float:
    begun = time.perf_counter()
    done[label] = _fit(x, k, n_starts, 1, {"race": race})
    return time.perf_counter() - begun


def _ranks(fits, x, k, n_starts) -> dict[str, int]:
    """How many starts stood before the one that ends best, when the race looked at them: what any
    race that ends the others there must keep."""
    winner, ranks = int(np.argmax(np.where(fits.sound, fits.objective, -np.inf))), {}
    for limit, _ in RUNGS:
        then = _fit(x, k, n_starts, 1, {"race": False}, limit).objective
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


def _race_row(name, label, timing, fits, x, k) -> dict[str, Any]:
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
        race=label == RACE,
        distinct_optima=len(optima.values),
        best_count=optima.best_count,
        chance_of_another=optima.missed,
        waste=fits.report.waste,
    )


def race_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
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


def run_split_merge(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by problem and variant."""
    for name, (x, k, n_starts) in _split_merge_problems(quick).items():
        best: dict[str, list[float]] = {}
        for label, options in VARIANTS.items():
            done = [_fit(x, k, n_starts, key, options) for key in (KEYS[:1] if quick else KEYS)]
            seconds = Timing(tuple(fits.report.run_seconds for fits in done))
            best[label] = [_best_supported(fits, k, x) for fits in done]
            yield _split_merge_row(name, label, done, seconds, best, x, k)


def _split_merge_problems(quick: bool) -> dict[str, tuple[np.ndarray, int, int]]:
    """x, K and starts."""
    if quick:
        return {"scattered n=500 d=2 K=8": (scattered(500, 8), 8, 64)}
    return {
        "diabetes K=4": (bundled("diabetes"), 4, 500),
        "overlapping n=2000 d=4 K=8": (overlapping(2000, 4, 8), 8, 500),
        "overlapping n=1000 d=8 K=5": (overlapping(1000, 8, 5), 5, 500),
        "overlapping n=3000 d=2 K=10": (overlapping(3000, 2, 10, 3), 10, 200),
        "scattered n=5000 d=2 K=30": (scattered(5000, 30, 1), 30, 128),
    }


def _fit(x, k, n_starts, key, options, max_iter=2000) -> jaxem.Fit:
    how: Any = dict(n_starts=n_starts, tol=1e-6, max_iter=max_iter, **options)
    return jaxem.fit(full_mixture(k), x, key=jax.random.key(key), **how)


def _best_supported(fits: jaxem.Fit, k: int, x: np.ndarray) -> float:
    """The highest log-likelihood of a sound fit that is not near a spurious maximum; -inf where
    all are."""
    model, sound = full_mixture(k), fits[fits.sound]
    rows = np.min(sound.params.weights, axis=1) * len(x)
    narrow = jax.vmap(model.family.narrowness)(sound.params.components, sound.params.weights)
    factor, limit = STRICT
    few = rows < factor * model.family.min_rows(x.shape[1]) + 0.5
    near = few | (np.max(np.asarray(narrow).reshape(len(rows), -1), axis=1) > limit)
    return float(np.max(np.where(near, -np.inf, sound.log_likelihood), initial=-np.inf))


def _split_merge_row(name, label, done, seconds, best, x, k) -> dict[str, Any]:
    full = best[ALL]
    return row(
        f"{name}, {label}",
        (*x.shape, k, len(done[0].status)),
        seconds,
        **outcome(done[0]),
        dtype=x.dtype.name,
        threads=cores(),
        problem=name,
        variant=label,
        e_steps=[fits.report.needed for fits in done],
        waste=[fits.report.waste for fits in done],
        best_supported=best[label],
        above=[one - other for one, other in zip(best[label], full, strict=True)],
    )


def split_merge_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Nats above all starts run to their ends, the middle one of the keys, and E-steps beside."""
    out, size = [], len(VARIANTS)
    for i in range(0, len(rows), size):
        full, *others = rows[i : i + size]
        for one in others:
            what = f"{one['problem']}: nats of {one['variant']} above all to the end"
            out.append(Verdict(f"{what}, middle", statistics.median(one["above"])))
            out.append(Verdict(f"{what}, lowest", min(one["above"])))
            share = statistics.median(np.divide(one["e_steps"], full["e_steps"]).tolist())
            what = f"{one['problem']}: E-steps of {one['variant']} beside all to the end"
            out.append(Verdict(what, share))
    return out


def draw_race(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Seconds with and without the race; what it lost is written beside."""
    axes, names = figure.subplots(), []
    for raced, full in zip(rows[::2], rows[1::2], strict=True):
        lost = full["best_log_likelihood"] - raced["best_log_likelihood"]
        names.append(f"{raced['problem']}\nlost {max(lost, 0):.2g} nats")
    series = {label: [r["seconds"] for r in rows[i::2]] for i, label in enumerate((RACE, ALL))}
    figures.plot_series(axes, series, names)
    axes.set(xlabel="seconds", title=f"The race between {rows[0]['lanes']} starts")


PARTS = {
    "race": Part(run_race, race_verdicts, draw_race),
    "split_merge": Part(run_split_merge, split_merge_verdicts),
}
