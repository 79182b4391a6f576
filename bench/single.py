"""Is one single fit as quick as scikit-learn's, and how long is a cold start?

n = 5000, d = 4, K = 8, full covariance, the same start and tolerance (1e-5 per row) for both;
compiled programs are warm. Cold start: a new process imports, compiles and fits.

Last answer: a tenth of scikit-learn's time; a cold start takes 5.3 s. Two cores of an AMD EPYC
with AVX-512, jax 0.10.2, November 2026.
"""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from bench.harness import peers, reference
from bench.harness.machine import cores
from bench.harness.problems import overlapping
from bench.harness.rows import Verdict, outcome, row
from bench.harness.timing import interleaved

TOL, MAX_ITER = 1e-5, 1000

COLD = """
import jax, numpy as np, jaxem
from bench.harness.problems import overlapping
x = overlapping({n}, 4, {k})
model = jaxem.Mixture(jaxem.Gaussian("full"), n_components={k})
fit = jaxem.fit(model, x, key=jax.random.key(0), n_starts=1, tol=1e-5)
assert np.isfinite(fit.log_likelihood).all()
"""

COLD_SKLEARN = """
import numpy as np
from sklearn.mixture import GaussianMixture
x = np.random.default_rng(0).normal(size=({n}, 4)).astype(np.float32)
GaussianMixture({k}, init_params="k-means++", max_iter=20, tol=0.1).fit(x)
"""


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows of warm fits and cold starts."""
    n, k = (300, 3) if quick else (5000, 8)
    x = overlapping(n, 4, k)
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    params = jax.jit(model.init)(jax.random.key(0), x)
    finished: dict[str, Any] = {}
    variants = {
        "jaxem.fit": partial(_own_fit, finished, model, x, params),
        "jaxem.em, jitted": partial(_own_em, finished, _compiled(model), x, params),
    }
    if peers.installed("sklearn"):
        for threads in dict.fromkeys((1, cores())):
            for dtype in (np.float32, np.float64):
                name = f"scikit-learn, threads {threads}, {np.dtype(dtype).name}"
                variants[name] = partial(_peer, finished, name, x.astype(dtype), params, threads)
    times = interleaved(variants, 1.0 if quick else 40.0)
    rows = [_row(name, times[name], finished[name], x, k) for name in times]
    return rows + _cold(n, k, 1 if quick else 3)


def _compiled(model):
    return jax.jit(lambda params, x: jaxem.em(model, params, x, tol=TOL, max_iter=MAX_ITER))


def _own_fit(finished, model, x, params) -> float:
    begun = time.perf_counter()
    fits = jaxem.fit(
        model, x, key=jax.random.key(0), n_starts=1, init=params, tol=TOL, max_iter=MAX_ITER
    )
    seconds = time.perf_counter() - begun
    finished["jaxem.fit"] = fits[0]
    return seconds


def _own_em(finished, run, x, params) -> float:
    begun = time.perf_counter()
    fit = jax.block_until_ready(run(params, jnp.asarray(x)))
    seconds = time.perf_counter() - begun
    finished["jaxem.em, jitted"] = fit
    return seconds


def _peer(finished, name, x, params, threads) -> float:
    weights = np.asarray(params.weights, np.float64)
    options = dict(
        n_components=len(weights),
        weights_init=(weights / weights.sum()).astype(x.dtype),
        means_init=np.asarray(params.means, x.dtype),
        precisions_init=np.linalg.inv(np.asarray(params.covariances, np.float64)).astype(x.dtype),
        init_params="random_from_data",
        tol=TOL,
        max_iter=MAX_ITER,
    )
    finished[name] = peers.with_threads(threads, peers.sklearn_fit, x, options)
    return finished[name]["seconds"]


def _row(name, timing, done, x, k) -> dict[str, Any]:
    size = (*x.shape, k, 1)
    if isinstance(done, dict):
        best = reference.log_likelihood(*done["params"], x)
        known = {"iterations": float(done["n_iter"]), "best_log_likelihood": best}
        known["statuses"] = {"CONVERGED" if done["converged"] else "MAX_ITER": 1}
        known["dtype"] = name.split()[-1]
        return row(name, size, timing, **known)
    known = outcome(done) | {"best_log_likelihood": reference.of_fit(done, x), "dtype": "float32"}
    return row(name, size, timing, threads=cores(), **known)


def _cold(n: int, k: int, repeats: int) -> list[dict[str, Any]]:
    programs = {"cold start, jaxem": COLD}
    if peers.installed("sklearn"):
        programs["cold start, scikit-learn"] = COLD_SKLEARN
    variants = {name: partial(_process, text.format(n=n, k=k)) for name, text in programs.items()}
    times = interleaved(variants, 60.0, least=repeats, most=repeats)
    return [row(name, (n, 4, k, 1), timing) for name, timing in times.items()]


def _process(program: str) -> float:
    begun = time.perf_counter()
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root, timeout=120)
    return time.perf_counter() - begun


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Warm against scikit-learn's fastest setting; cold against six seconds."""
    by_name = {one["what"]: one for one in rows}
    out = []
    peer = [one for name, one in by_name.items() if name.startswith("scikit-learn")]
    if peer:
        best = min(one["seconds"] for one in peer)
        for name, goal in (("jaxem.fit", 1.0), ("jaxem.em, jitted", None)):
            ratio = by_name[name]["seconds"] / best
            out.append(Verdict(f"{name} / scikit-learn at its best", ratio, "<=", goal))
    seconds = by_name["cold start, jaxem"]["seconds"]
    return [*out, Verdict("cold start, seconds", seconds, "<=", 6.0)]
