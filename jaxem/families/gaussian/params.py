"""Shared by the Gaussian structures: parameters, features, packing of symmetric matrices."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxem.core.trees import pytree
from jaxem.core.types import DType
from jaxem.numerics import einsum

LOG_2PI = float(np.log(2 * np.pi))

#: Largest dimension whose sums are written out term by term: on a CPU a batched product makes one
#: library call per matrix, which takes longer than a small product itself.
WRITTEN = 8


@pytree
class GaussianParams:
    """scikit-learn's names and shapes; covariances by type.

    >>> jaxem.GaussianParams(means=np.zeros((3, 2)), covariances=np.ones(3))  # spherical
    GaussianParams(means=[[0, 0], [0, 0], [0, 0]], covariances=[1, 1, 1])
    """

    means: jax.Array  #: f[k, d]
    covariances: jax.Array  #: full f[k, d, d], tied and known f[d, d], diag f[k, d], spherical f[k]


def linear_rows(x: jax.Array) -> list[jax.Array]:
    """[1, x], rows minor: f[1, n] and f[d, n]."""
    return [jnp.ones((1, x.shape[0]), x.dtype), x.T]


def square_rows(x: jax.Array) -> list[jax.Array]:
    """vech(x xᵀ), rows minor, in d pieces f[d - i, n]."""
    t = x.T
    return [t[i : i + 1] * t[i:] for i in range(t.shape[0])]


def pack(matrix: jax.Array, off_diagonal: float = 1.0) -> jax.Array:
    """Upper triangle of symmetric matrices f[..., d, d], off-diagonal entries multiplied."""
    i, j = np.triu_indices(matrix.shape[-1])
    scale = np.where(i == j, 1.0, off_diagonal).reshape((1,) * (matrix.ndim - 2) + (-1,))
    return matrix[..., i, j] * jnp.asarray(scale, matrix.dtype)


def unpack(packed: jax.Array, d: int) -> jax.Array:
    """The symmetric matrices f[..., d, d] of their upper triangles."""
    index = np.zeros((d, d), int)
    i, j = np.triu_indices(d)
    index[i, j] = index[j, i] = np.arange(len(i))
    return packed[..., index]


def outer(a: jax.Array, b: jax.Array) -> jax.Array:
    """Outer products over the last axis: f[..., d], f[..., d] -> f[..., d, d]."""
    return a[..., :, None] * b[..., None, :]


def as_vector(value: ArrayLike, d: int, dtype: DType) -> jax.Array:
    """A scalar or f[d] as f[d]."""
    return jnp.broadcast_to(jnp.asarray(value, dtype), (d,))


#: Standard deviations from the origin beyond which sums of squares are taken about the mean.
FAR = 8


def mean_if_far(means: jax.Array, variances: jax.Array, weights: jax.Array) -> jax.Array:
    """The mean f[d] of a mixture of components of these means and variances f[k, d] where it is
    more than `FAR` standard deviations from the origin, else 0."""
    mean = einsum("k,kj->j", weights, means)
    spread = einsum("k,kj->j", weights, variances + (means - mean[None, :]) ** 2)
    return jnp.where(mean**2 > FAR**2 * spread, mean, 0)
