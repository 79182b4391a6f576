"""What do children of the best find that starts do not, and at what cost?

Full covariance, k-means++ starts, tolerance 1e-6 per row, three keys: all starts to their ends, the
race, and the race with generations of children. A higher likelihood may be a spurious maximum's, so
the best is also told of what is not near one (`jaxem.models.mixture.STRICT`).

Last answer: with three generations 0.0, −0.0, 3.9, 2.2 and 0.0 nats above all starts run to their
ends (diabetes; overlapping d = 4, 8 and 2; scattered), the middle of three keys, −4.8 at worst; the
race alone 0.0, −0.0, −1.0, −2.1 and 0.0, −40.5 at worst. They take 0.36 to 0.49 of the E-steps
(diabetes 1.03), the race 0.22 to 0.28 (0.57). With ten generations 0.0, 2.7, 12.7, 7.0 and 0.0
above, −2.8 at worst, in 0.70 to 0.99 of the E-steps (diabetes 1.60). Two cores of an AMD EPYC with
AVX-512, jax 0.10.2, November 2026.
"""

import statistics
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness.machine import cores
from bench.harness.problems import bundled, overlapping, scattered
from bench.harness.rows import Verdict, outcome, row
from bench.harness.timing import Timing
from jaxem.models.health import STRICT

KEYS = range(3)
VARIANTS: dict[str, dict[str, Any]] = {
    "all to the end": {"race": False},
    "race": {"race": True},
    "3 generations": {"generations": 3},
    "10 generations": {"generations": 10},
}


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by problem and variant."""
    rows = []
    for name, (x, k, n_starts) in _problems(quick).items():
        best: dict[str, list[float]] = {}
        for label, options in VARIANTS.items():
            done = [_fit(x, k, n_starts, key, options) for key in (KEYS[:1] if quick else KEYS)]
            seconds = Timing(tuple(fits.report.run_seconds for fits in done))
            best[label] = [_best_supported(fits, k, x) for fits in done]
            rows.append(_row(name, label, done, seconds, best, x, k))
    return rows


def _problems(quick: bool) -> dict[str, tuple[np.ndarray, int, int]]:
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


def _fit(x, k, n_starts, key, options) -> jaxem.Fit:
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    how: Any = dict(n_starts=n_starts, tol=1e-6, max_iter=2000, **options)
    return jaxem.fit(model, x, key=jax.random.key(key), **how)


def _best_supported(fits: jaxem.Fit, k: int, x: np.ndarray) -> float:
    """The highest log-likelihood of a sound fit that is not near a spurious maximum; -inf where
    all are."""
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    sound = fits[fits.sound]
    rows = np.min(sound.params.weights, axis=1) * len(x)
    narrow = jax.vmap(model.family.narrowness)(sound.params.components, sound.params.weights)
    factor, limit = STRICT
    few = rows < factor * model.family.min_rows(x.shape[1]) + 0.5
    near = few | (np.max(np.asarray(narrow).reshape(len(rows), -1), axis=1) > limit)
    return float(np.max(np.where(near, -np.inf, sound.log_likelihood), initial=-np.inf))


def _row(name, label, done, seconds, best, x, k) -> dict[str, Any]:
    full = best["all to the end"]
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


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Nats above all starts run to their ends, the middle one of the keys, and E-steps beside."""
    out, size = [], len(VARIANTS)
    for i in range(0, len(rows), size):
        full, *others = rows[i : i + size]
        for one in others:
            what = f"{one['problem']}: nats of {one['variant']} above all to the end"
            out.append(Verdict(f"{what}, middle", statistics.median(one["above"])))
            out.append(Verdict(f"{what}, lowest", min(one["above"])))
            share = statistics.median(np.divide(one["e_steps"], full["e_steps"]).tolist())
            out.append(Verdict(f"{one['problem']}: E-steps beside all to the end", share))
    return out
