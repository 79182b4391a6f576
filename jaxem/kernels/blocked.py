"""The blocked kernel: the E-step over blocks of rows, so that n × k numbers are never in memory.

Rows are the last axis of every array. The logits of a block stay in cache between the two products,
and the softmax runs over a leading axis, which vectorises. Under `vmap` over lanes x has no lane
axis, so each contraction becomes one matrix product over all lanes at once.
"""

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp

from jaxem.core.trees import pytree, replace, static
from jaxem.kernels import small_products
from jaxem.numerics import device_einsum, einsum, exp_nonpositive

#: Components up to which the maximum and the sum of a float32 softmax are unrolled.
UNROLLED = 32


@pytree
class Blocks:
    """Rows cut into b blocks of m, rows on the last axis. Copies of row 0 with weight 0 fill up the
    last block."""

    columns: jax.Array  # f[b, d, m]
    weight: jax.Array  # f[b, m]
    phi: jax.Array | None = None  # f[b, p, m], features of the rows; None: computed in every step
    known: tuple | None = None  # weight f[b, m] and component i[b, m] of the rows with a label


@pytree
class Assignment:
    """How a row is shared out among components: r ∝ exp(exponent · logits) (Ueda and Nakano 1998;
    None: 1), or `hard` to the most probable one (Celeux and Govaert 1992)."""

    exponent: jax.Array | None = None  # f[]
    hard: bool = static(default=False)


SOFT = Assignment()


def as_blocks(x: jax.Array, weight: jax.Array, rows: int) -> Blocks:
    """Cut x f[n, d] and weight f[n] into blocks of at most `rows` rows of nearly equal length."""
    n = x.shape[0]
    count = -(-n // max(1, rows))
    return _cut(x, weight, count, -(-n // count))


def as_one_block(x: jax.Array, weight: jax.Array, length: int) -> Blocks:
    """All rows in one block, padded to `length`: for a kernel that cuts the rows itself."""
    return _cut(x, weight, 1, length)


def _cut(x, weight, count: int, length: int) -> Blocks:
    n, d = x.shape
    missing = count * length - n
    if missing:
        x = jnp.concatenate([x, jnp.broadcast_to(x[:1], (missing, d))])
        weight = jnp.concatenate([weight, jnp.zeros((missing,), weight.dtype)])
    columns = x.reshape(count, length, d).swapaxes(1, 2)
    return Blocks(columns, weight.reshape(count, length))


def with_known(blocks: Blocks, weight: jax.Array, label: jax.Array) -> Blocks:
    """The blocks with the weight f[n] and component i[n] of rows with a label; weight 0 for a row
    without one."""
    spare = blocks.weight.size - weight.shape[0]
    known = jnp.pad(weight, (0, spare)), jnp.pad(label, (0, spare))
    return replace(blocks, known=tuple(leaf.reshape(blocks.weight.shape) for leaf in known))


def recut(blocks: Blocks, rows: int) -> Blocks:
    """Blocks of at most `rows` rows, without kept features; the given blocks where they are short
    enough."""
    _, d, length = blocks.columns.shape
    if length <= rows:
        return replace(blocks, phi=None)
    flat = blocks.columns.swapaxes(1, 2).reshape(-1, d)
    out = as_blocks(flat, blocks.weight.reshape(-1), rows)
    if blocks.known is None:
        return out
    return with_known(out, *(leaf.reshape(-1) for leaf in blocks.known))


def with_features(features: Callable[[jax.Array], jax.Array], blocks: Blocks) -> Blocks:
    """The blocks with the features of their rows kept. For rows that few columns of coefficients
    share: there, computing φ anew in every iteration would cost more than the step itself."""
    if blocks.columns.shape[0] == 1:
        phi = features(blocks.columns[0].T)[None]
    else:
        phi = jax.lax.map(lambda columns: features(columns.T), blocks.columns)
    return replace(blocks, phi=phi)


def weighted_moments(
    features: Callable[[jax.Array], jax.Array], blocks: Blocks, resp: jax.Array | None = None
) -> jax.Array:
    """Σ_n w_n r_kn φ(x_n) f[k, p] for given responsibilities f[k, n]; without them f[1, p]."""
    count, _, length = blocks.columns.shape
    k, dtype = 1 if resp is None else resp.shape[0], blocks.columns.dtype
    if resp is None:
        resp = jnp.ones((1, count * length), dtype)
    resp = jnp.pad(resp, ((0, 0), (0, count * length - resp.shape[1])))
    parts = resp.reshape(k, count, length).swapaxes(0, 1)

    def block(total, xwr):
        columns, w, r = xwr
        return total + einsum("km,pm->kp", r * w[None, :], features(columns.T)), None

    width = jax.eval_shape(features, blocks.columns[0].T).shape[0]
    start = jnp.zeros((k, width), dtype)
    return jax.lax.scan(block, start, (blocks.columns, blocks.weight, parts))[0]


def blocked_moments(
    features: Callable[[jax.Array], jax.Array],
    beta: jax.Array,
    blocks: Blocks,
    reference: jax.Array,
    assignment: Assignment = SOFT,
    precision: str = "float32",
) -> tuple[jax.Array, jax.Array]:
    """Moments f[k, p] and Σ w (logsumexp_k − reference) f[], as `softmax_moments_reference`.

    `reference` is a number near the mean log-sum-exp: the sum of small differences keeps digits
    that a float32 sum of the values themselves would lose.
    """

    kept = blocks.phi is not None
    rows = blocks.columns if blocks.phi is None else blocks.phi
    to_logits, to_moments = _products(kept, precision)

    def block(carry, piece):
        rows, w = piece
        phi = rows if kept else features(rows.T)
        r, level = softmax_step(to_logits(beta, phi), w, assignment)
        moments, value = to_moments(r, phi), jnp.sum(w * (level - reference))
        return (carry[0] + moments, carry[1] + value), None

    start = jnp.zeros(beta.shape, beta.dtype), jnp.zeros((), beta.dtype)
    if rows.shape[0] == 1:
        return block(start, (rows[0], blocks.weight[0]))[0]
    return jax.lax.scan(block, start, (rows, blocks.weight))[0]


def softmax_step(
    logits: jax.Array, w: jax.Array, assignment: Assignment = SOFT
) -> tuple[jax.Array, jax.Array]:
    """w · responsibilities f[k, m] of logits f[k, m], and the objective of each row f[m]:
    logsumexp, tempered by the exponent, or the largest logit where `hard`."""
    exponent = assignment.exponent
    if assignment.hard:
        best = jnp.argmax(logits, axis=0)
        r = jnp.where(jnp.arange(logits.shape[0])[:, None] == best[None, :], w[None, :], 0)
        return r, jnp.max(logits, axis=0)
    if exponent is not None:
        logits = logits * exponent
    r, level = _softmax(logits, w)
    return r, level if exponent is None else level / exponent


def _products(kept: bool, precision: str) -> tuple[Callable, Callable]:
    """The product for logits and that for moments. Lanes with rows of their own (`kept` features)
    have a small product each; lanes that share rows have one large product."""
    dot = partial(device_einsum, precision=precision)
    if kept:
        return partial(small_products.logits, dot=dot), partial(small_products.moments, dot=dot)
    return partial(dot, "kp,pm->km"), partial(dot, "km,pm->kp")


def _softmax(logits: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array]:
    """w · softmax over components f[k, m], and logsumexp f[m]."""
    k = logits.shape[0]
    if k > UNROLLED or logits.dtype != jnp.float32:
        top = jax.lax.stop_gradient(jnp.max(logits, axis=0))
        e = exp_nonpositive(logits - top[None, :])
        s = jnp.sum(e, axis=0)
        return e * (w / s)[None, :], top + jnp.log(s)
    # Computing each exponential twice costs less than writing and reading it once. Maximum and sum
    # are unrolled, because XLA's loop over a fused reduction does not vectorise.
    top = jax.lax.stop_gradient(reduce(_larger, logits))
    s = sum(exp_nonpositive(logit - top) for logit in logits)
    return exp_nonpositive(logits - top[None, :]) * (w / s)[None, :], top + jnp.log(s)


def _larger(a: jax.Array, b: jax.Array) -> jax.Array:
    """The larger of two, in one instruction. `maximum` takes five, because it keeps every NaN; here
    a NaN shows in the exponentials."""
    return jnp.where(a > b, a, b)
