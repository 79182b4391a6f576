"""What do the race between starts and split and merge find or lose, and at what cost?

`race`: the bundled data sets in float64, simulated ones in float32, full covariance, three keys,
tolerance 1e-6 per row; two problems have rare components, of weight 0.01. The race on all rows
(`race=True`), on a part of them first (`"rows"`, where rows are enough), and what `fit` does by
default, against all starts run to the end. Seconds are those of the run, without compiling. Beside
what is lost stands what fewer starts, as many iterations in all as the race makes, would lose.

`split_merge`: k-means++ starts, tolerance 1e-6 per row, three keys: all starts to their ends, the
race, and the race with generations of proposals. A higher likelihood may be a spurious maximum's,
so the best is also told of what is not near one (`jaxem.models.judgement.STRICT`).
"""

import statistics
from collections.abc import Iterator
from statistics import mean
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness import figures, reference
from bench.harness.fits import full_mixture
from bench.harness.machine import cores
from bench.harness.problems import bundled, overlapping, scattered, with_rare
from bench.harness.rows import Part, Verdict, outcome, row
from bench.harness.timing import Timing
from jaxem.models.judgement import STRICT

ALL, RACE, ROWS, DEFAULT = "all to the end", "race", "race on rows", "default"

#: `race`: the options of each variant.
RACES: dict[str, dict[str, Any]] = {
    ALL: {"race": False},
    RACE: {"race": True},
    ROWS: {"race": "rows"},
    DEFAULT: {},
}

#: Objectives closer than this, in nats, are one optimum.
SAME = 0.05

#: Keys of every problem.
KEYS = range(3)

#: `split_merge`: the options of each variant.
VARIANTS: dict[str, dict[str, Any]] = {
    ALL: {"race": False},
    RACE: {"race": True},
    "3 generations": {"split_merge": 3},
    "10 generations": {"split_merge": 10},
}


def run_race(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by problem and variant."""
    for name, (x, k, n_starts) in _race_problems(quick).items():
        full: dict[str, Any] = {}
        for label, options in RACES.items():
            done = [_fit(x, k, n_starts, key, options) for key in (KEYS[:1] if quick else KEYS)]
            one = _race_row(name, label, done, x, k)
            full = one if label == ALL else full
            one["above"] = [a - b for a, b in zip(one["best"], full["best"], strict=True)]
            if label == ALL:
                ends = done
            share = sum(one["e_steps"]) / sum(full["e_steps"])
            few = min(n_starts, max(1, round(share * n_starts)))
            one["loss_at_same_work"] = mean(_loss_of_few(f, few) for f in ends)
            yield one


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
        "rare n=5000 d=4 K=6": (with_rare(5000, 4, 6), 6, 500),
        "rare n=20000 d=3 K=6": (with_rare(20000, 3, 6, 1, 3.0), 6, 500),
        "overlapping n=5000 d=4 K=8": (overlapping(5000, 4, 8), 8, 1000),
    }


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


def _race_row(name, label, done, x, k) -> dict[str, Any]:
    optima = done[0].optima(gap=SAME)
    known = outcome(done[0]) | {"best_log_likelihood": reference.of_fit(done[0].best(), x)}
    return row(
        f"{name}, {label}",
        (*x.shape, k, len(done[0].status)),
        Timing(tuple(fits.report.run_seconds for fits in done)),
        **known,
        dtype=x.dtype.name,
        threads=cores(),
        problem=name,
        variant=label,
        distinct_optima=len(optima.values),
        best_count=optima.best_count,
        chance_of_another=optima.missed,
        best=[reference.of_fit(fits.best(), x) for fits in done],
        e_steps=[fits.report.needed for fits in done],
        saved=[fits.report.saved for fits in done],
        waste=[fits.report.waste for fits in done],
    )


def race_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Nats lost and time saved, by problem; and the mean over all problems and keys."""
    out, size, over = [], len(RACES), {ROWS: [], DEFAULT: []}
    for i in range(0, len(rows), size):
        full, *others = rows[i : i + size]
        raced = others[0]
        for one in others:
            what = f"{one['variant']}, {one['problem']}"
            out.append(Verdict(f"nats above all to the end, mean: {what}", mean(one["above"])))
            out.append(Verdict(f"nats above all to the end, lowest: {what}", min(one["above"])))
            few = one["loss_at_same_work"]
            if few is not None:
                out.append(Verdict(f"the same of fewer starts, same work: {what}", -few))
            ratio = sum(full["samples"]) / sum(one["samples"])
            out.append(Verdict(f"times quicker than all to the end: {what}", ratio))
            if one["variant"] in over:
                over[one["variant"]].append(mean(one["best"]) - mean(raced["best"]))
    for label, gains in over.items():
        what = f"nats above the race on all rows, mean of all problems: {label}"
        out.append(Verdict(what, mean(gains), ">=", -SAME))
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
    """Seconds of each variant; the nats that the default is above all starts are written beside."""
    axes, size, names = figure.subplots(), len(RACES), []
    for last in rows[size - 1 :: size]:
        names.append(f"{last['problem']}\ndefault {mean(last['above']):+.2g} nats")
    series = {label: [r["seconds"] for r in rows[i::size]] for i, label in enumerate(RACES)}
    figures.plot_series(axes, series, names)
    axes.set(xlabel="seconds", title="The race between starts")


PARTS = {
    "race": Part(run_race, race_verdicts, draw_race),
    "split_merge": Part(run_split_merge, split_merge_verdicts),
}
