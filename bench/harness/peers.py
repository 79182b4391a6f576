"""scikit-learn and gmmx on the same work; imported only where installed.

Functions here also run in worker processes, so nothing heavy is imported at the top.
"""

import importlib.util
import time
import warnings
from typing import Any

import numpy as np

#: scikit-learn's two ways to use all cores; the faster one counts.
MODES = ("threads", "processes")


def installed(name: str) -> bool:
    """Whether the package can be imported."""
    return importlib.util.find_spec(name) is not None


# scikit-learn --------------------------------------------------------------------------------


def sklearn_steps(x: np.ndarray, k: int, iterations: int, mode: str, cores: int):
    """A variant: seconds per restart of `iterations` E-steps and M-steps of scikit-learn.

    Of the "processes", each busy with a restart, the seconds are shared between the cores; what
    starting them and sending them the data costs is not counted.
    """
    if mode == "threads":
        return lambda: with_threads(cores, _sklearn_loop, x, k, iterations, 0)

    def run() -> float:
        spent = in_processes(_sklearn_loop, [(x, k, iterations, seed) for seed in range(cores)])
        return sum(spent) / len(spent) / cores

    return run


def _sklearn_loop(x: np.ndarray, k: int, iterations: int, seed: int) -> float:
    from sklearn.mixture import GaussianMixture

    mixture: Any = GaussianMixture(k, init_params="random_from_data")
    mixture._initialize_parameters(x, np.random.RandomState(seed))
    mixture._m_step(x, mixture._e_step(x)[1])
    begun = time.perf_counter()
    for _ in range(iterations):
        mixture._m_step(x, mixture._e_step(x)[1])
    return time.perf_counter() - begun


def sklearn_fits(work: list[tuple[np.ndarray, dict]], mode: str, cores: int) -> list[dict]:
    """`GaussianMixture(**options).fit(x)` for each (x, options), on all cores."""
    if mode == "threads":
        return [with_threads(cores, sklearn_fit, *one) for one in work]
    return in_processes(sklearn_fit, work)


def sklearn_fit(x: np.ndarray, options: dict) -> dict[str, Any]:
    """A finished fit: parameters, iterations, whether it converged, and its seconds."""
    from sklearn.mixture import GaussianMixture

    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mixture = GaussianMixture(**options).fit(x)
    return {
        "params": (mixture.weights_, mixture.means_, mixture.covariances_),
        "n_iter": int(mixture.n_iter_),
        "converged": bool(mixture.converged_),
        "seconds": time.perf_counter() - begun,
    }


def in_processes(function, work: list[tuple]) -> list:
    """joblib over all cores, one BLAS thread in each process."""
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        return Parallel(n_jobs=-1)(delayed(function)(*one) for one in work)


def with_threads(count: int, function, *arguments):
    """`function(*arguments)` under so many BLAS threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=count):
        return function(*arguments)


# gmmx and the obvious JAX --------------------------------------------------------------------


def starts(x: np.ndarray, k: int, lanes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights f[r, k], means f[r, k, d] (random rows), covariances f[r, k, d, d] (the data's)."""
    rng = np.random.default_rng(1)
    means = np.stack([x[rng.choice(len(x), k, replace=False)] for _ in range(lanes)])
    covariance = np.cov(x.T).reshape(x.shape[1], x.shape[1]).astype(x.dtype)
    weights = np.full((lanes, k), 1 / k, x.dtype)
    return weights, means, np.broadcast_to(covariance, (lanes, k, *covariance.shape)).copy()


def gmmx_steps(x: np.ndarray, k: int, lanes: int, iterations: int):
    """A variant: `iterations` of gmmx's fitter, alone or (lanes > 1) under `vmap`."""
    import gmmx
    import jax

    from bench.harness.timing import clocked

    fitter = gmmx.EMFitter(max_iter=iterations, tol=0.0)

    def one(weights, means, covariances):
        start = gmmx.GaussianMixtureModelJax.from_squeezed(means, covariances, weights)
        done = fitter.fit(x, start)
        return done.gmm.weights, done.gmm.means, done.gmm.covariances.values, done.n_iter

    given = tuple(jax.numpy.asarray(leaf) for leaf in starts(x, k, lanes))
    run = jax.jit(jax.vmap(one)) if lanes > 1 else jax.jit(one)
    given = given if lanes > 1 else tuple(leaf[0] for leaf in given)
    if not (np.asarray(run(*given)[3]) == iterations).all():
        raise RuntimeError("gmmx stopped before the last iteration")
    return clocked(lambda: run(*given))


def obvious_steps(x: np.ndarray, k: int, lanes: int, iterations: int):
    """A variant: the textbook's step in JAX, one restart under `vmap`: triangular solves for
    every row, a softmax, weighted outer products."""
    import jax
    import jax.numpy as jnp

    from bench.harness.timing import clocked

    d = x.shape[1]

    def log_density(mean, covariance):
        factor = jnp.linalg.cholesky(covariance)
        z = jax.scipy.linalg.solve_triangular(factor, (x - mean[None]).T, lower=True)
        log_det = 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
        return -0.5 * (d * np.log(2 * np.pi) + log_det + jnp.sum(z * z, axis=0))

    def step(_, params):
        weights, means, covariances = params
        joint = jax.vmap(log_density)(means, covariances) + jnp.log(weights)[:, None]
        r = jax.nn.softmax(joint, axis=0)
        count = jnp.sum(r, axis=1)
        means = r @ x / count[:, None]
        gap = x[None] - means[:, None]
        scatter = jnp.einsum("kn,kni,knj->kij", r, gap, gap)
        ridge = 1e-6 * jnp.eye(d)[None]
        return count / len(x), means, scatter / count[:, None, None] + ridge

    run = jax.jit(jax.vmap(lambda *p: jax.lax.fori_loop(0, iterations, step, p)))
    given = tuple(jnp.asarray(leaf) for leaf in starts(x, k, lanes))
    return clocked(lambda: run(*given))
