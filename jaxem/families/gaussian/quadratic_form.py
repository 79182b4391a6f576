"""log N(x; μ, Σ) as a linear form of [1, x, vech(x xᵀ)]: its coefficients and their derivatives."""

from collections.abc import Iterable
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.families.gaussian.params import LOG_2PI, WRITTEN, pack, unpack
from jaxem.numerics import batch_minor, einsum, eliminate


@jax.custom_jvp
def coefficients(means: jax.Array, covariances: jax.Array) -> jax.Array:
    """β f[k, 1 + d + d(d+1)/2] = [−½ (d log 2π + log|Σ| + μᵀΛμ), Λμ, −½ vech Λ with off-diagonals
    doubled], Λ = Σ⁻¹, of means f[k, d] and covariances f[k, d, d].

    Finite but meaningless where a covariance is singular to rounding.
    """
    return _coefficients(means, covariances)


@coefficients.defjvp
def _(primals, tangents):
    """dΛ = −Λ dΣ Λ and d log|Σ| = tr Λ dΣ (Magnus and Neudecker 2019, chapter 8)."""
    (means, covariances), (d_means, d_covariances) = primals, tangents
    beta, d = coefficients(means, covariances), means.shape[-1]
    i, j = np.triu_indices(d)
    linear, square = beta[:, 1 : d + 1], beta[:, d + 1 :]
    precision = unpack(jnp.where(i == j, -2 * square, -square), d)
    change = 0.5 * (d_covariances + d_covariances.swapaxes(-1, -2))
    change = -einsum("kij,kjl,klm->kim", precision, change, precision)
    d_linear = einsum("kij,kj->ki", change, means) + einsum("kij,kj->ki", precision, d_means)
    d_log_det = jnp.sum(precision * d_covariances, axis=(-1, -2))
    d_size = jnp.sum(linear * d_means + d_linear * means, axis=-1)
    constant = -0.5 * (d_log_det + d_size)
    return beta, jnp.concatenate([constant[:, None], d_linear, -0.5 * pack(change, 2.0)], axis=1)


@batch_minor
def _coefficients(means, covariances):
    """Batch minor: f[d, k], f[d, d, k] -> f[p, k]; with Σ⁻¹ = Wᵀ W and z = W μ."""
    d = means.shape[0]
    w, log_det, _ = eliminate(covariances)
    if d > WRITTEN:
        z = einsum("ijk,jk->ik", w, means)
        linear = einsum("ijk,ik->jk", w, z)
        square = pack(einsum("ijk,ilk->kjl", w, w), 2.0).T
    else:
        z = _total(w[:, j] * means[None, j] for j in range(d))
        linear = _total(w[i] * z[i, None] for i in range(d))
        i, j = np.triu_indices(d)
        precision = _total(row[:, None] * row[None, :] for row in w)
        square = precision[i, j] * np.where(i == j, 1, 2).astype(w.dtype)[:, None]
    constant = d * LOG_2PI + log_det + _total(z[i] * z[i] for i in range(d))
    return jnp.concatenate([-0.5 * constant[None], linear, -0.5 * square])


def _total(terms: Iterable[jax.Array]) -> jax.Array:
    return reduce(jnp.add, terms)
