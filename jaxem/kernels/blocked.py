"""The step over blocks of rows: rows minor, sums in the carry, n × k never in memory.

The block of logits stays in cache between the two products, and the softmax runs over a major
axis, which vectorises. Under `vmap` over restarts x has no lane axis, so both contractions become
one matrix product over all restarts at once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxem.numerics import einsum, exp_nonpositive
from jaxem.pytree import pytree


@pytree
class Blocks:
    """Rows cut into b blocks of m; the last is filled with copies of row 0 at weight 0."""

    x: jax.Array  # f[b, m, d]
    weight: jax.Array  # f[b, m]


def as_blocks(x: jax.Array, weight: jax.Array, rows: int) -> Blocks:
    """Cut x f[n, d] and weight f[n] into blocks of at most `rows` rows of nearly equal length."""
    n, d = x.shape
    count = -(-n // max(1, rows))
    length = -(-n // count)
    missing = count * length - n
    if missing:
        x = jnp.concatenate([x, jnp.broadcast_to(x[:1], (missing, d))])
        weight = jnp.concatenate([weight, jnp.zeros((missing,), weight.dtype)])
    return Blocks(x.reshape(count, length, d), weight.reshape(count, length))


def weighted_moments(
    features: Callable[[jax.Array], jax.Array], blocks: Blocks, resp: jax.Array | None = None
) -> jax.Array:
    """Σ_n w_n r_kn φ(x_n) f[k, p] for given responsibilities f[k, n]; without them f[1, p]."""
    count, length, _ = blocks.x.shape
    k = 1 if resp is None else resp.shape[0]
    if resp is None:
        resp = jnp.ones((1, count * length), blocks.x.dtype)
    resp = jnp.pad(resp, ((0, 0), (0, count * length - resp.shape[1])))
    parts = resp.reshape(k, count, length).swapaxes(0, 1)

    def block(total, xwr):
        x, w, r = xwr
        return total + einsum("km,pm->kp", r * w[None, :], features(x)), None

    width = jax.eval_shape(features, blocks.x[0]).shape[0]
    start = jnp.zeros((k, width), blocks.x.dtype)
    return jax.lax.scan(block, start, (blocks.x, blocks.weight, parts))[0]


def softmax_moments(
    features: Callable[[jax.Array], jax.Array],
    beta: jax.Array,
    blocks: Blocks,
    reference: jax.Array,
    exponent: jax.Array | None = None,
    hard: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Moments f[k, p] and Σ w (logsumexp_k − reference) f[], as `softmax_moments_reference`.

    `reference` is a level near the mean log-sum-exp: the sum of small differences keeps digits
    that a float32 sum of the values themselves would lose.
    """

    def block(carry, xw):
        x, w = xw
        phi = features(x)
        one, value = _step(phi, beta, w, reference, exponent, hard)
        return (carry[0] + one, carry[1] + value), None

    start = jnp.zeros(beta.shape, beta.dtype), jnp.zeros((), beta.dtype)
    if blocks.x.shape[0] == 1:
        return block(start, (blocks.x[0], blocks.weight[0]))[0]
    return jax.lax.scan(block, start, (blocks.x, blocks.weight))[0]


def _step(phi, beta, w, reference, exponent, hard):
    logits = einsum("kp,pm->km", beta, phi)
    if hard:
        top = jnp.max(logits, axis=0)
        best = jnp.argmax(logits, axis=0)
        r = jnp.where(jnp.arange(beta.shape[0])[:, None] == best[None, :], w[None, :], 0)
        return einsum("km,pm->kp", r, phi), jnp.sum(w * (top - reference))
    if exponent is not None:
        logits = logits * exponent
    top = jax.lax.stop_gradient(jnp.max(logits, axis=0))
    e = exp_nonpositive(logits - top[None, :])
    s = jnp.sum(e, axis=0)
    moments = einsum("km,pm->kp", e * (w / s)[None, :], phi)
    level = jnp.log(s) + top
    level = level if exponent is None else level / exponent
    return moments, jnp.sum(w * (level - reference))
