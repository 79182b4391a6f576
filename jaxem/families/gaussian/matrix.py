"""What the families with covariance matrices share: units, densities, drawing."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxem.families.gaussian.params import LOG_2PI, GaussianParams, as_vector, outer
from jaxem.numerics import cholesky, einsum, inverse_factor
from jaxem.pytree import replace


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


def log_density(self: Any, params: GaussianParams, x: jax.Array) -> jax.Array:
    """log N(x; μ_k, Σ_k) f[n, k] from residuals: nothing large cancels, wherever the data lie."""
    k, d = params.means.shape
    w, log_det, _ = inverse_factor(params.covariances)
    w, log_det = jnp.broadcast_to(w, (k, d, d)), jnp.broadcast_to(log_det, (k,))
    centre = jnp.mean(params.means, axis=0)
    z = einsum("kij,nj->kni", w, x - centre[None, :])
    z = z - einsum("kij,kj->ki", w, params.means - centre[None, :])[:, None, :]
    constant = d * LOG_2PI + log_det
    return -0.5 * (constant[:, None] + jnp.sum(z * z, axis=-1)).T


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
