"""Sums of a small step on a CPU, written out.

A batched product of small matrices is one call of a library for each, which takes longer than the
product. With rows last, sums over a few features, and over rows in `PARTS` parts of equal length,
are plain operations on long vectors.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp

from jaxem.numerics import einsum

#: Rows are added up in so many parts side by side, then along them.
PARTS = 16

#: Components × features × rows up to which moments, and logits, are written out; beyond, rows and
#: features leave the cache nearest to the core, and a library reads them fewer times.
MOMENTS, LOGITS = 1 << 18, 1 << 16


def logits(beta: jax.Array, phi: jax.Array, dot: Callable) -> jax.Array:
    """β φ f[k, m] of f[k, p] and f[p, m], by `dot` where it is not small or not on a CPU."""
    product = lambda beta, phi: dot("kp,pm->km", beta, phi)  # noqa: E731
    if beta.size * phi.shape[1] > LOGITS:
        return product(beta, phi)
    return jax.lax.platform_dependent(beta, phi, cpu=_logits, default=product)


def moments(resp: jax.Array, phi: jax.Array, dot: Callable) -> jax.Array:
    """r φᵀ f[k, p] of f[k, m] and f[p, m], by `dot` where it is not small or not on a CPU."""
    product = lambda resp, phi: dot("km,pm->kp", resp, phi)  # noqa: E731
    if resp.size * phi.shape[0] > MOMENTS or resp.shape[1] % PARTS:
        return product(resp, phi)
    return jax.lax.platform_dependent(resp, phi, cpu=_moments, default=product)


def _logits(beta, phi):
    return reduce(jnp.add, (beta[:, i, None] * phi[None, i] for i in range(phi.shape[0])))


def _moments(resp, phi):
    # Written once: a product for every feature would compute its responsibilities anew.
    resp = jax.lax.optimization_barrier(resp)
    left, right = resp.reshape(resp.shape[0], PARTS, -1), phi.reshape(phi.shape[0], PARTS, -1)
    parts = reduce(jnp.add, (left[:, None, i] * right[None, :, i] for i in range(PARTS)))
    return einsum("kpl,l->kp", parts, jnp.ones(parts.shape[2:], parts.dtype))
