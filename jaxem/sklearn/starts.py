"""The starts of an estimator: scikit-learn's, jaxem's, or given by the user.

All are parameters in standard units, lane axis leading, on the host.
"""

from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

import jaxem
from jaxem.batch import lanes
from jaxem.batch.lanes import Grid, LaneIds
from jaxem.core.trees import replace
from jaxem.data.scaling import Scaling, standardized_model, standardized_params
from jaxem.families.gaussian import as_gaussian
from jaxem.models.starts import given_responsibilities
from jaxem.sklearn.restarts import Problem

#: Smallest `reg_covar`, as a share of a feature's variance / d: rounding would lose less.
ROUNDING = 32 * float(np.finfo(np.float64).eps)


def covariances_of(precisions_cholesky: ArrayLike, covariance_type: str) -> np.ndarray:
    """Covariances of scikit-learn's upper factors U of each type: precision = U Uᵀ."""
    upper = np.asarray(precisions_cholesky, float)
    if covariance_type in ("diag", "spherical"):
        return 1 / upper**2
    inverse = np.linalg.inv(upper)
    return inverse.swapaxes(-1, -2) @ inverse


def mixture(weights: Any, means: Any, covariances: Any) -> jaxem.MixtureParams:
    """The parameters of a Gaussian mixture, made of NumPy arrays."""
    return jaxem.MixtureParams(weights, jaxem.GaussianParams(means, covariances))


def params_of(estimator: Any) -> jaxem.MixtureParams:
    """The parameters of an estimator, with the covariances of its `precisions_cholesky_`."""
    covariances = covariances_of(estimator.precisions_cholesky_, estimator.covariance_type)
    weights, means = (np.asarray(v, float) for v in (estimator.weights_, estimator.means_))
    return mixture(weights, means, covariances)


def in_standard_units(model: jaxem.Mixture, scaling: Scaling) -> jaxem.Mixture:
    """The model in standard units; `reg_covar` stays in units of x as far as rounding allows."""
    inner = standardized_model(model, scaling)
    family = as_gaussian(inner.family)
    ridge = np.asarray(family.reg_covar, float)
    ridge = np.where(ridge > 0, np.maximum(ridge, ROUNDING * ridge.size), 0.0)
    return replace(inner, family=replace(family, reg_covar=ridge))


def stacked(problem: Problem, params: list[jaxem.MixtureParams]) -> jaxem.MixtureParams:
    """Parameters of several starts, in the units of x, as one tree in standard units."""
    inside = [standardized_params(problem.model, p, problem.rows.scaling) for p in params]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *inside)


def drawn(
    problem: Problem, n_starts: int, init: str, random_state: np.random.RandomState
) -> jaxem.MixtureParams:
    """Starts by jaxem's initialiser of this name, which takes weights and draws all at once."""
    data, zeros = problem.rows.data(), np.zeros(n_starts, int)
    at_once = problem.plan(n_starts).at_once
    grid = Grid(problem.inner, data, None, problem.rows.scaling, shared=True)
    key = jax.random.key(random_state.randint(np.iinfo(np.int32).max))
    ids = LaneIds(zeros, zeros, np.arange(n_starts))
    return jax.device_get(lanes.draw_starts(grid, ids, key, None, init, at_once))


def seeded(
    problem: Problem, n_starts: int, init: Any, random_state: np.random.RandomState
) -> jaxem.MixtureParams:
    """One M-step on labels i[n] or responsibilities f[n, k]: `init`, or the result of the callable
    `init` for each start."""
    rows, k = problem.rows, problem.inner.n_components
    if callable(init):
        given = [init(rows.x, k, random_state) for _ in range(n_starts)]
    else:
        given = [init]
    data, seeds = rows.data(), []
    for labels in given:
        resp: Any = np.zeros((len(rows.z), k))
        resp[: len(rows.x)] = given_responsibilities(labels, len(rows.x), k)
        seeds.append(jax.device_get(problem.inner.seed(data, resp)))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)


def overridden(
    problem: Problem, params: jaxem.MixtureParams, given: tuple[Any, Any, Any]
) -> jaxem.MixtureParams:
    """`params` of all lanes with the given weights, means and covariances; None keeps those of
    `params`."""
    weights, means, covariances = given
    drawn, scaling = params.components, problem.rows.scaling
    numpy_params: Any = jaxem.GaussianParams  # NumPy leaves
    fixed = numpy_params(
        np.zeros(drawn.means.shape[1:]) if means is None else np.asarray(means, float),
        np.ones(drawn.covariances.shape[1:]) if covariances is None else covariances,
    )
    fixed = as_gaussian(problem.model.family).standardize(fixed, scaling.shift, scaling.scale)

    def put(value: Any, new: Any, old: Any) -> Any:
        return old if value is None else np.broadcast_to(np.asarray(new, float), old.shape)

    return mixture(
        put(weights, weights, params.weights),
        put(means, fixed.means, drawn.means),
        put(covariances, fixed.covariances, drawn.covariances),
    )
