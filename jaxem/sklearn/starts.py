"""Where the starts of an estimator stand: scikit-learn's own, jaxem's, or the user's.

All of them are parameters in standard units, lane axis leading, on the host.
"""

from typing import Any

import jax
import numpy as np

import jaxem
from jaxem.batch import lanes
from jaxem.batch.lanes import Grid, LaneIds
from jaxem.core.pytree import replace
from jaxem.data.scaling import standardized_model, standardized_params
from jaxem.models.starts import given_responsibilities
from jaxem.sklearn.restarts import Problem

#: A `reg_covar` below this share (times d) of a feature's variance is lost to rounding, and raised.
ROUNDING = 32 * float(np.finfo(np.float64).eps)


def covariances_of(precisions_cholesky: Any, covariance_type: str) -> np.ndarray:
    """Covariances by type of scikit-learn's upper factors U: precision = U Uᵀ."""
    upper = np.asarray(precisions_cholesky, float)
    if covariance_type in ("diag", "spherical"):
        return 1 / upper**2
    inverse = np.linalg.inv(upper)
    return inverse.swapaxes(-1, -2) @ inverse


def mixture(weights: Any, means: Any, covariances: Any) -> jaxem.MixtureParams:
    """The parameters of a Gaussian mixture, of NumPy arrays."""
    return jaxem.MixtureParams(weights, jaxem.GaussianParams(means, covariances))


def params_of(estimator: Any) -> jaxem.MixtureParams:
    """The parameters an estimator stands at; its density is that of `precisions_cholesky_`."""
    covariances = covariances_of(estimator.precisions_cholesky_, estimator.covariance_type)
    weights, means = (np.asarray(v, float) for v in (estimator.weights_, estimator.means_))
    return mixture(weights, means, covariances)


def in_standard_units(model: Any, scaling: Any) -> Any:
    """The model in standard units; `reg_covar` stays absolute as far as rounding allows."""
    inner = standardized_model(model, scaling)
    ridge = np.asarray(inner.family.reg_covar, float)
    ridge = np.where(ridge > 0, np.maximum(ridge, ROUNDING * ridge.size), 0.0)
    return replace(inner, family=replace(inner.family, reg_covar=ridge))


def stacked(problem: Problem, many: list) -> Any:
    """Parameters in the units of x as one tree in standard units, lane axis leading."""
    own = [standardized_params(problem.model, one, problem.rows.scaling) for one in many]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *own)


def drawn(problem: Problem, n_starts: int, init: str, random_state: Any) -> Any:
    """Starts by jaxem's initialiser of this name, which knows weights and draws all at once."""
    data, names = problem.rows.data(), np.zeros(n_starts, int)
    at_once = problem.plan(n_starts).at_once
    grid = Grid(problem.inner, data, None, problem.rows.scaling, shared=True)
    key = jax.random.key(random_state.randint(np.iinfo(np.int32).max))
    ids = LaneIds(names, names, np.arange(n_starts))
    return jax.device_get(lanes.draw_starts(grid, ids, key, None, init, at_once))


def seeded(problem: Problem, n_starts: int, init: Any, random_state: Any) -> Any:
    """One M-step on the user's labels i[n] or responsibilities f[n, k], or on what the callable
    gives for each start."""
    rows, k = problem.rows, problem.inner.n_components
    many = [init(rows.x, k, random_state) for _ in range(n_starts)] if callable(init) else [init]
    data, seeds = rows.data(), []
    for one in many:
        resp = np.zeros((len(rows.z), k))
        resp[: len(rows.x)] = given_responsibilities(one, len(rows.x), k)
        seeds.append(jax.device_get(problem.inner.seed(data, resp)))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)


def overridden(problem: Problem, params: Any, given: tuple[Any, Any, Any]) -> Any:
    """`params` of any number of lanes with the weights, means and covariances that the user gave
    (None: did not) in their place."""
    weights, means, covariances = given
    own, scaling = params.components, problem.rows.scaling
    blank: Any = jaxem.GaussianParams  # NumPy leaves
    whole = blank(
        np.zeros(own.means.shape[1:]) if means is None else np.asarray(means, float),
        np.ones(own.covariances.shape[1:]) if covariances is None else covariances,
    )
    whole = problem.model.family.standardize(whole, scaling.shift, scaling.scale)

    def put(value: Any, new: Any, old: Any) -> Any:
        return old if value is None else np.broadcast_to(np.asarray(new, float), old.shape)

    return mixture(
        put(weights, weights, params.weights),
        put(means, whole.means, own.means),
        put(covariances, whole.covariances, own.covariances),
    )
