"""Covariances as matrices, f[k, d, d] or shared f[d, d]: changes of units, densities, drawing."""

import jax
import jax.numpy as jnp

from jaxem.core.types import Array
from jaxem.families.gaussian.params import LOG_2PI, WRITTEN, GaussianParams, mean_if_far, outer
from jaxem.numerics import cholesky, einsum, inverse_factor


def expanded(params: GaussianParams) -> jax.Array:
    """The covariance matrix of every component f[k, d, d]."""
    k, d = params.means.shape
    return jnp.broadcast_to(params.covariances, (k, d, d))


def deviations(params: GaussianParams) -> jax.Array:
    """Lower Cholesky factors of the matrices, f[k, d, d] or f[d, d]."""
    return cholesky(params.covariances)


def columns(covariances: jax.Array, keep: Array) -> jax.Array:
    """Covariances of some columns i[c]."""
    return covariances[..., keep, :][..., keep]


def conditional(covariances: jax.Array, rest: Array, found: jax.Array) -> jax.Array:
    """Covariances of the columns `rest` given all others: `found`, or its first if shared."""
    del rest
    return found if covariances.ndim == 3 else found[0]


def squared_scale(covariances: jax.Array, scale: jax.Array) -> jax.Array:
    """The factor of the covariances when the columns are multiplied by scale f[d]."""
    square = outer(scale, scale)
    return square.reshape((1,) * (covariances.ndim - square.ndim) + square.shape)


def ridge(covariances: jax.Array, variance: jax.Array) -> jax.Array:
    """What the covariances gain where the variance f[d] is added to the columns."""
    return jnp.diag(variance)[None] if covariances.ndim == 3 else jnp.diag(variance)


def linear_coefficients(params: GaussianParams) -> jax.Array:
    """β = [−½ μᵀΛμ, Λμ] f[k, 1 + d] of one matrix for all components."""
    w = inverse_factor(params.covariances)[0]
    z = einsum("ij,kj->ki", w, params.means)
    constant = -0.5 * jnp.sum(z * z, axis=1, keepdims=True)
    return jnp.concatenate([constant, einsum("ij,ki->kj", w, z)], axis=1)


def base_point(params: GaussianParams, weights: jax.Array) -> jax.Array:
    """The point f[d] about which sums over rows lose no digits: see `mean_if_far`."""
    variances = jnp.diagonal(params.covariances, axis1=-2, axis2=-1)
    return mean_if_far(params.means, jnp.broadcast_to(variances, params.means.shape), weights)


def log_density(params: GaussianParams, x: jax.Array) -> jax.Array:
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

        # One row of the factors at a time: memory for n × k numbers, as for the logits.
        start = jnp.zeros((k, x.shape[0]), x.dtype)
        square = jax.lax.scan(add, start, w.swapaxes(0, 1))[0]
    return -0.5 * (d * LOG_2PI + log_det[:, None] + square).T


def condition(params: GaussianParams) -> jax.Array:
    """μᵀΛμ f[k]: the size of the terms that cancel in the quadratic form."""
    k, d = params.means.shape
    w = jnp.broadcast_to(inverse_factor(params.covariances)[0], (k, d, d))
    return jnp.sum(einsum("kij,kj->ki", w, params.means) ** 2, axis=-1)


def coloured(params: GaussianParams, labels: jax.Array, noise: jax.Array) -> jax.Array:
    """Noise f[n, d] with the covariances of the components in labels i[n]."""
    k, d = params.means.shape
    root = jnp.broadcast_to(cholesky(params.covariances), (k, d, d))
    return einsum("nij,nj->ni", root[labels], noise)


def usable(params: GaussianParams) -> jax.Array:
    """b[k]: finite means, and a covariance that is positive definite to rounding."""
    finite = jnp.all(jnp.isfinite(params.means), axis=-1)
    return finite & inverse_factor(params.covariances)[2]


def narrowness(params: GaussianParams, weights: jax.Array) -> jax.Array:
    """tr(S Λ_k) f[k] with S the pooled covariance: large where a component is a sliver."""
    own = expanded(params)
    pooled = einsum("k,kij->ij", weights, own)
    w = inverse_factor(own)[0]
    return jnp.sum(einsum("kij,jl->kil", w, pooled) * w, axis=(-1, -2))
