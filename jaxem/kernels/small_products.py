"""Products of small matrices on a CPU, as sums of array operations.

A batched product of small matrices calls a library once per matrix, and the call takes longer than
the product. With rows on the last axis, sums over a few features, and sums over rows in `PARTS`
parts of equal length, are plain operations on long vectors.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp

from jaxem.numerics import einsum

#: Number of parts of the rows: parts are added to one another, then the entries of the sum.
PARTS = 16

#: Components × features × rows up to which moments, and logits, are such sums. Larger rows and
#: features do not fit in the level-1 cache, and a library reads them fewer times.
MOMENTS, LOGITS = 1 << 18, 1 << 16


def logits(beta: jax.Array, phi: jax.Array, dot: Callable) -> jax.Array:
    """β φ f[k, m] of f[k, p] and f[p, m]; by `dot` where the product is large or not on a CPU."""
    product = lambda beta, phi: dot("kp,pm->km", beta, phi)  # noqa: E731
    if beta.size * phi.shape[1] > LOGITS:
        return product(beta, phi)
    return jax.lax.platform_dependent(beta, phi, cpu=_logits, default=product)


def moments(resp: jax.Array, phi: jax.Array, dot: Callable) -> jax.Array:
    """r φᵀ f[k, p] of f[k, m] and f[p, m]; by `dot` where the product is large or not on a CPU."""
    product = lambda resp, phi: dot("km,pm->kp", resp, phi)  # noqa: E731
    if resp.size * phi.shape[0] > MOMENTS or resp.shape[1] % PARTS:
        return product(resp, phi)
    return jax.lax.platform_dependent(resp, phi, cpu=_moments, default=product)


def _logits(beta, phi):
    return reduce(jnp.add, (beta[:, i, None] * phi[None, i] for i in range(phi.shape[0])))


def _moments(resp, phi):
    # A barrier: without it, XLA computes the responsibilities anew for every feature.
    resp = jax.lax.optimization_barrier(resp)
    left, right = resp.reshape(resp.shape[0], PARTS, -1), phi.reshape(phi.shape[0], PARTS, -1)
    parts = reduce(jnp.add, (left[:, None, i] * right[None, :, i] for i in range(PARTS)))
    return einsum("kpl,l->kp", parts, jnp.ones(parts.shape[2:], parts.dtype))
