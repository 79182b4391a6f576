"""Do the accelerators save E-steps, and do they find the same optimum?

Overlapping Gaussian mixtures in float64, 64 k-means++ starts, the same for all. Two counts: E-steps
until the engine's own rule (predicted remaining gain, Aitken, below 1e-6 per row), and E-steps
until the objective is within 1e-6 per row of the limit that this very start reaches in the end.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from bench.harness import figures
from bench.harness.fits import full_mixture
from bench.harness.problems import bundled, overlapping
from bench.harness.rows import Part, Verdict, outcome, row
from jaxem.core.precision import precision_of

GAP = 1e-6
PLAIN = "plain EM"
ACCELERATORS = (None, "anderson", "squarem")


def run(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by problem and accelerator."""
    lanes, most = (8, 300) if quick else (64, 5000)
    for name, (x, k) in _problems(quick).items():
        for accelerator in ACCELERATORS:
            yield from _of_problem(name, x.astype(np.float64), k, lanes, most, accelerator)


def _problems(quick: bool) -> dict[str, tuple[np.ndarray, int]]:
    if quick:
        return {"overlapping d=2 K=3": (overlapping(200, 2, 3), 3)}
    return {
        "overlapping d=2 K=3": (overlapping(1000, 2, 3), 3),
        "overlapping d=4 K=8": (overlapping(2000, 4, 8), 8),
        "heavily overlapping d=3 K=4": (overlapping(1000, 3, 4, seed=1, apart=1.2), 4),
        "old_faithful K=3": (bundled("old_faithful"), 3),
        "diabetes K=3": (bundled("diabetes"), 3),
    }


def _of_problem(name, x, k, lanes, most, accelerator) -> list[dict[str, Any]]:
    model, label, size = full_mixture(k), accelerator or PLAIN, (*x.shape, k, lanes)
    options: dict[str, Any] = dict(stop="aitken", max_iter=most, accelerate=accelerator)
    whole = dict(options, key=jax.random.key(0), n_starts=lanes, race=False, tol=GAP)
    fits, again = (jaxem.fit(model, x, **whole) for _ in range(2))  # the second is compiled
    steps = np.asarray(fits.n_iter)[fits.sound]
    known: dict[str, Any] = {"problem": name, "accelerator": label, "dtype": "float64"}
    engine = row(
        f"{name}, {label}, its own rule",
        size,
        again.report.run_seconds,
        **outcome(fits),
        compile_seconds=fits.report.compile_seconds,
        count="engine",
        median_e_steps=float(np.median(steps)),
        **known,
    )
    steps, best, statuses = _to_the_limit(model, x, lanes, options)
    limit = row(
        f"{name}, {label}, to its limit",
        size,
        iterations=float(np.mean(steps)),
        best_log_likelihood=best,
        statuses=statuses,
        count="limit",
        median_e_steps=float(np.median(steps)),
        **known,
    )
    return [engine, limit]


def _to_the_limit(model, x, lanes, options) -> tuple[np.ndarray, float, dict[str, int]]:
    """E-steps until within GAP per row of where each lane ends, from traces of long runs."""
    with precision_of(x.dtype):
        z = jnp.asarray((x - x.mean(axis=0)) / x.std(axis=0))
        keys = jax.random.split(jax.random.key(0), lanes)
        starts = jax.jit(jax.vmap(lambda key: model.init(key, z)))(keys)
        single = partial(jaxem.em, tol=1e-11, trace=options["max_iter"], **options)
        fits = jax.device_get(jax.jit(jax.vmap(lambda p: single(model, p, z)))(starts))
    fits = fits[fits.sound]
    reached = fits.trace >= (fits.objective - GAP * len(x))[:, None]
    best = float(np.max(fits.log_likelihood)) - len(x) * float(np.sum(np.log(x.std(axis=0))))
    return np.argmax(reached, axis=1), best, outcome(fits)["statuses"]


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Median E-steps over plain EM's; what the best optimum lost."""
    plain = {(one["problem"], one["count"]): one for one in rows if one["accelerator"] == PLAIN}
    out = []
    for one in rows:
        if one["accelerator"] != PLAIN:
            beside = plain[one["problem"], one["count"]]
            ratio = one["median_e_steps"] / beside["median_e_steps"]
            out.append(Verdict(f"E-steps / plain EM, {one['what']}", ratio, "<=", 0.5))
            loss = beside["best_log_likelihood"] - one["best_log_likelihood"]
            out.append(Verdict(f"nats lost, {one['what']}", loss, "<=", 0.01))
    return out


def draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Median E-steps by problem, to each lane's own limit."""
    axes = figure.subplots()
    own = [r for r in rows if r["count"] == "limit"]
    series: dict[str, list[float]] = {}
    for one in own:
        series.setdefault(one["accelerator"], []).append(one["median_e_steps"])
    figures.plot_series(axes, series, list(dict.fromkeys(r["problem"] for r in own)))
    axes.set_xlabel("median E-steps to 1e-6 per row of the start's own limit")
    axes.set_title(f"Accelerators, {own[0]['lanes']} starts")


PARTS = {"accelerators": Part(run, verdicts, draw)}
