"""What the families with covariance matrices share: units, densities, drawing."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxem.core.pytree import replace
from jaxem.families.gaussian.params import (
    LOG_2PI,
    WRITTEN,
    GaussianParams,
    as_vector,
    mean_if_far,
    outer,
)
from jaxem.numerics import cholesky, einsum, inverse_factor


def ridge(family: Any, d: int, dtype: Any) -> jax.Array:
    """reg_covar on the diagonal f[d, d]."""
    return jnp.diag(as_vector(family.reg_covar, d, dtype))


def like(value: jax.Array, target: jax.Array) -> jax.Array:
    """`value` with leading axes of length 1, to the rank of `target`."""
    return value.reshape((1,) * (target.ndim - value.ndim) + value.shape)


def standardized(self: Any, shift, scale):
    """The same family for z = (x − shift) / scale."""
    prior = None if self.prior is None else self.prior.standardized(shift, scale)
    return replace(self, prior=prior, reg_covar=self.reg_covar / scale**2)


def standardize(self: Any, params: GaussianParams, shift, scale):
    """Parameters for z = (x − shift) / scale."""
    means = (params.means - shift[None, :]) / scale[None, :]
    square = like(outer(scale, scale), params.covariances)
    return GaussianParams(means, params.covariances / square)


def unstandardize(self: Any, params: GaussianParams, shift, scale):
    """Parameters for x = shift + scale · z."""
    means = params.means * scale[None, :] + shift[None, :]
    square = like(outer(scale, scale), params.covariances)
    return GaussianParams(means, params.covariances * square)


def base_point(self: Any, params: GaussianParams, weights: jax.Array) -> jax.Array:
    """Where sums over rows lose no digits f[d]: see `mean_if_far`."""
    variances = jnp.diagonal(params.covariances, axis1=-2, axis2=-1)
    return mean_if_far(params.means, jnp.broadcast_to(variances, params.means.shape), weights)


def log_density(self: Any, params: GaussianParams, x: jax.Array) -> jax.Array:
    """log N(x; μ_k, Σ_k) f[n, k] from residuals: nothing large cancels, wherever the data lie."""
    k, d = params.means.shape
    w, log_det, _ = inverse_factor(params.covariances)
    w, log_det = jnp.broadcast_to(w, (k, d, d)), jnp.broadcast_to(log_det, (k,))
    if d <= WRITTEN:
        gaps = [x[:, j][None, :] - params.means[:, j, None] for j in range(d)]
        rows = [sum(w[:, i, j, None] * gaps[j] for j in range(i + 1)) for i in range(d)]
        square = sum(row * row for row in rows)
    else:
        centre = jnp.mean(params.means, axis=0)
        gap, offset = (x - centre[None, :]).T, params.means - centre[None, :]

        def add(square, row):
            z = einsum("kj,jn->kn", row, gap) - einsum("kj,kj->k", row, offset)[:, None]
            return square + z * z, None

        # One row of the factors at a time: n × k numbers, as many as there are logits.
        start = jnp.zeros((k, x.shape[0]), x.dtype)
        square = jax.lax.scan(add, start, w.swapaxes(0, 1))[0]
    return -0.5 * (d * LOG_2PI + log_det[:, None] + square).T


def condition(self: Any, params: GaussianParams) -> jax.Array:
    """μᵀΛμ f[k]: the size of what cancels in the quadratic form."""
    k, d = params.means.shape
    w = jnp.broadcast_to(inverse_factor(params.covariances)[0], (k, d, d))
    return jnp.sum(einsum("kij,kj->ki", w, params.means) ** 2, axis=-1)


def sample(self: Any, key, params: GaussianParams, labels):
    """Rows f[n, d] drawn from the components named in labels i[n]."""
    k, d = params.means.shape
    noise = jax.random.normal(key, (labels.shape[0], d), params.means.dtype)
    root = jnp.broadcast_to(cholesky(params.covariances), (k, d, d))
    return params.means[labels] + einsum("nij,nj->ni", root[labels], noise)


def usable(self: Any, params: GaussianParams) -> jax.Array:
    """b[k]: finite means, and a covariance that is positive definite to rounding."""
    finite = jnp.all(jnp.isfinite(params.means), axis=-1)
    return finite & inverse_factor(params.covariances)[2]


def healthy(self: Any, params: GaussianParams, stats) -> jax.Array:
    """b[k]: as `usable`; the pivots are already judged against rounding."""
    return usable(self, params)
