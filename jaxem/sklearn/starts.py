"""The starts of an estimator: scikit-learn's, jaxem's, or given by the user.

All are parameters in standard units, lane axis leading, on the host.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

import jaxem
from jaxem.batch.lanes import LaneIds
from jaxem.core.compiled import jitted
from jaxem.core.trees import replace
from jaxem.data.scaling import Scaling, rescaled, to_scaled
from jaxem.families.gaussian import as_gaussian
from jaxem.models.starts import given_responsibilities
from jaxem.sklearn.data import key_of
from jaxem.sklearn.restarts import Problem

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

#: Starts that an estimator is given: labels i[n] or responsibilities f[n, k], or a function of
#: (X, n_components, random_state) that makes them.
Given = ArrayLike | Callable[[np.ndarray, int, np.random.RandomState], ArrayLike]

#: Smallest `reg_covar`, as a share of a feature's variance / d: rounding would lose less.
ROUNDING = 32 * float(np.finfo(np.float64).eps)


def has_matrices(covariance_type: str) -> bool:
    """Whether covariances of this type are matrices f[.., d, d], not variances."""
    return covariance_type in ("full", "tied")


def inverse(covariance_type: str, precisions: np.ndarray) -> np.ndarray:
    """Covariances of precisions."""
    return np.linalg.inv(precisions) if has_matrices(covariance_type) else 1 / precisions


def covariances_of(covariance_type: str, precisions_cholesky: ArrayLike) -> np.ndarray:
    """Covariances of scikit-learn's upper factors U of each type: precision = U Uᵀ."""
    upper = np.asarray(precisions_cholesky, float)
    if not has_matrices(covariance_type):
        return 1 / upper**2
    root = np.linalg.inv(upper)
    return root.swapaxes(-1, -2) @ root


def mixture(weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> jaxem.MixtureParams:
    """The parameters of a Gaussian mixture, made of NumPy arrays in float64."""
    leaves: list = [np.asarray(leaf, float) for leaf in (weights, means, covariances)]
    return jaxem.MixtureParams(leaves[0], jaxem.GaussianParams(*leaves[1:]))


def params_of(estimator: "GaussianMixture") -> jaxem.MixtureParams:
    """The parameters of an estimator, with the covariances of its `precisions_cholesky_`."""
    covariances = covariances_of(estimator.covariance_type, estimator.precisions_cholesky_)
    return mixture(np.asarray(estimator.weights_), np.asarray(estimator.means_), covariances)


def in_standard_units(model: jaxem.Mixture, scaling: Scaling) -> jaxem.Mixture:
    """The model in standard units; `reg_covar` stays in units of x as far as rounding allows."""
    inner = rescaled(model, scaling)
    family = as_gaussian(inner.family)
    ridge = np.asarray(family.reg_covar, float)
    ridge = np.where(ridge > 0, np.maximum(ridge, ROUNDING * ridge.size), 0.0)
    return replace(inner, family=replace(family, reg_covar=ridge))


def stacked(problem: Problem, params: list[jaxem.MixtureParams]) -> jaxem.MixtureParams:
    """Parameters of several starts, in the units of x, as one tree in standard units."""
    inside = [to_scaled(problem.model, p, problem.rows.scaling) for p in params]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *inside)


def drawn(
    problem: Problem, n_starts: int, init: str, random_state: np.random.RandomState
) -> jaxem.MixtureParams:
    """Starts by jaxem's initialiser of this name, which takes weights and draws all at once."""
    zeros = np.zeros(n_starts, int)
    at_once = problem.plan(n_starts).at_once
    ids, key = LaneIds(zeros, zeros, np.arange(n_starts)), key_of(random_state)
    inner = model = problem.inner
    active = None
    if inner.can_pad(init):
        model, active = problem.wide(n_starts), inner.n_components
    params = _draw(model, problem.rows.data(), key, ids, active, init, at_once)
    return model.unpadded(jax.device_get(params), inner)


@partial(jitted, static_argnames=("init", "at_once"))
def _draw(model, data, key, ids, active, init, at_once):
    start = lambda lane: model.start(lane.key(key), data, init, active)  # noqa: E731
    return jax.lax.map(start, ids, batch_size=at_once)


def seeded(
    problem: Problem, n_starts: int, init: Given, random_state: np.random.RandomState
) -> jaxem.MixtureParams:
    """One M-step on labels i[n] or responsibilities f[n, k]: `init`, or the result of the callable
    `init` for each start."""
    rows, k = problem.rows, problem.inner.n_components
    given = [init(rows.x, k, random_state) for _ in range(n_starts)] if callable(init) else [init]
    data, wide, seeds = rows.data(), problem.wide(1), []
    for labels in given:
        resp = np.zeros((len(rows.z), wide.n_components))
        resp[: len(rows.x), :k] = given_responsibilities(labels, len(rows.x), k)
        seeds.append(jax.device_get(wide.seed(data, jnp.asarray(resp))))
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *seeds)
    return wide.unpadded(params, problem.inner)


def overridden(
    problem: Problem, drawn: jaxem.MixtureParams, given: list[np.ndarray | None]
) -> jaxem.MixtureParams:
    """The starts `drawn` of all lanes with the given weights, means and covariances f64; None keeps
    those of `drawn`."""
    old = jax.tree.leaves(drawn)
    filled = [o[0] if value is None else value for o, value in zip(old, given, strict=True)]
    new = jax.tree.leaves(to_scaled(problem.model, mixture(*filled), problem.rows.scaling))
    kept = [
        o if value is None else np.broadcast_to(n, o.shape)
        for o, n, value in zip(old, new, given, strict=True)
    ]
    return mixture(*kept)
