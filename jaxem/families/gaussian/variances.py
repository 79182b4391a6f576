"""Covariances as variances f[k, d], or f[k] for all features: units, densities, drawing."""

import jax
import jax.numpy as jnp

from jaxem.core.types import Array
from jaxem.families.gaussian.params import LOG_2PI, GaussianParams, mean_if_far
from jaxem.numerics import einsum


def wide(params: GaussianParams) -> jax.Array:
    """Variances f[k, d], for either shape."""
    variances = params.covariances
    if variances.ndim == 2:
        return variances
    return jnp.broadcast_to(variances[:, None], params.means.shape)


def expanded(params: GaussianParams) -> jax.Array:
    """The covariance matrix of every component f[k, d, d]."""
    own = wide(params)
    return own[:, :, None] * jnp.eye(own.shape[1], dtype=own.dtype)[None]


def deviations(params: GaussianParams) -> jax.Array:
    """Standard deviations f[k, d]."""
    return jnp.sqrt(wide(params))


def columns(covariances: jax.Array, keep: Array) -> jax.Array:
    """Variances of some columns i[c]."""
    return covariances[:, keep] if covariances.ndim == 2 else covariances


def conditional(covariances: jax.Array, rest: Array, found: jax.Array) -> jax.Array:
    """Variances of the columns `rest` given all others: unchanged, since columns are
    independent."""
    del found
    return columns(covariances, rest)


def squared_scale(covariances: jax.Array, scale: jax.Array) -> jax.Array:
    """The factor of the variances when the columns are multiplied by scale f[d]."""
    return scale[None, :] ** 2 if covariances.ndim == 2 else scale[:1] ** 2


def ridge(covariances: jax.Array, variance: jax.Array) -> jax.Array:
    """What the variances gain where the variance f[d] is added to the columns."""
    return variance[None] if covariances.ndim == 2 else variance[:1]


def precisions(params: GaussianParams) -> tuple[jax.Array, jax.Array]:
    """1/σ² f[k, d] and Σ log 2πσ² f[k]; zeros where a variance is unusable."""
    variances = wide(params)
    good = variances > 0
    safe = jnp.where(good, variances, 1)
    return jnp.where(good, 1 / safe, 0), jnp.sum(LOG_2PI + jnp.log(safe), axis=-1)


def coefficients(params: GaussianParams) -> tuple[jax.Array, jax.Array, jax.Array]:
    """β = [−½ Σ_j (log 2π σ_j² + μ_j²/σ_j²), μ/σ², −½/σ²], each f[k, ·]."""
    precision, log_det = precisions(params)
    constant = -0.5 * (log_det + jnp.sum(params.means**2 * precision, axis=-1))
    return constant[:, None], params.means * precision, -0.5 * precision


def base_point(params: GaussianParams, weights: jax.Array) -> jax.Array:
    """The point f[d] about which sums over rows lose no digits: see `mean_if_far`."""
    return mean_if_far(params.means, wide(params), weights)


def log_density(params: GaussianParams, x: jax.Array) -> jax.Array:
    """log N(x; μ_k, σ²_k) f[n, k] from residuals: nothing large cancels."""
    precision, log_det = precisions(params)

    def add(square, column):
        values, mean, scale = column
        return square + (values[None, :] - mean[:, None]) ** 2 * scale[:, None], None

    start = jnp.zeros((len(precision), x.shape[0]), x.dtype)
    square = jax.lax.scan(add, start, (x.T, params.means.T, precision.T))[0]
    return -0.5 * (log_det[:, None] + square).T


def condition(params: GaussianParams) -> jax.Array:
    """Σ_j μ_j²/σ_j² f[k]: the size of the terms that cancel in the quadratic form."""
    return jnp.sum(params.means**2 * precisions(params)[0], axis=-1)


def coloured(params: GaussianParams, labels: jax.Array, noise: jax.Array) -> jax.Array:
    """Noise f[n, d] with the variances of the components in labels i[n]."""
    return jnp.sqrt(wide(params))[labels] * noise


def usable(params: GaussianParams) -> jax.Array:
    """b[k]: finite means and positive variances."""
    return jnp.all(jnp.isfinite(params.means) & (wide(params) > 0), axis=-1)


def narrowness(params: GaussianParams, weights: jax.Array) -> jax.Array:
    """max_j s_j / σ²_kj f[k] with s the pooled variances: large where a component is a sliver."""
    pooled = einsum("k,kj->j", weights, wide(params))
    return jnp.max(pooled[None, :] * precisions(params)[0], axis=-1)


def above_rounding(variance: jax.Array, second: jax.Array) -> jax.Array:
    """Whether a variance is larger than the rounding error of the second moments."""
    return variance > 8 * jnp.finfo(variance.dtype).eps * second
