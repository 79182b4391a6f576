"""The starts of an estimator: scikit-learn's, jaxem's, or given by the user.

All are parameters in the standardised frame, lane axis leading, on the host.
"""

from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

import jaxem
from jaxem.batch import lanes
from jaxem.batch.lanes import Grid
from jaxem.batch.problem import plan_for
from jaxem.core.pytree import replace
from jaxem.data.scaling import Frame, standardized_model, standardized_params
from jaxem.search.starts import given_responsibilities
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


def in_frame(model: jaxem.Mixture, frame: Frame) -> jaxem.Mixture:
    """The model in the frame; `reg_covar` stays in the units of x as far as rounding allows."""
    inner = standardized_model(model, frame)
    ridge = np.asarray(inner.family.reg_covar, float)
    ridge = np.where(ridge > 0, np.maximum(ridge, ROUNDING * ridge.size), 0.0)
    return replace(inner, family=replace(inner.family, reg_covar=ridge))


def stacked(problem: Problem, params: list[jaxem.MixtureParams]) -> jaxem.MixtureParams:
    """Parameters of several starts, in the units of x, as one tree in the frame."""
    inside = [standardized_params(problem.model, p, problem.rows.frame) for p in params]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *inside)


def drawn(
    problem: Problem, n_starts: int, init: str, random_state: np.random.RandomState
) -> jaxem.MixtureParams:
    """Starts by jaxem's initialiser of this name, which takes weights and draws all at once."""
    data, zeros = problem.rows.data(), np.zeros(n_starts, int)
    at_once = plan_for(problem.model, data, n_starts, None).at_once
    grid = Grid(problem.inner, data, None, problem.rows.frame, shared=True)
    key = jax.random.key(random_state.randint(np.iinfo(np.int32).max))
    numbers = zeros, zeros, np.arange(n_starts)  # of data sets, twice, and of starts
    return jax.device_get(lanes.seed(grid, *numbers, key, None, init, at_once))


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
    drawn, frame = params.components, problem.rows.frame
    numpy_params: Any = jaxem.GaussianParams  # NumPy leaves
    fixed = numpy_params(
        np.zeros(drawn.means.shape[1:]) if means is None else np.asarray(means, float),
        np.ones(drawn.covariances.shape[1:]) if covariances is None else covariances,
    )
    fixed = problem.model.family.standardize(fixed, frame.shift, frame.scale)

    def put(value: Any, new: Any, old: Any) -> Any:
        return old if value is None else np.broadcast_to(np.asarray(new, float), old.shape)

    return mixture(
        put(weights, weights, params.weights),
        put(means, fixed.means, drawn.means),
        put(covariances, fixed.covariances, drawn.covariances),
    )
