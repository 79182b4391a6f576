"""A way out of a local optimum: two components merged, a third one split (Ueda, Nakano, Ghahramani
and Hinton 2000, Neural Computation 12, 2109), for any family.

The components are drawn at random, better moves with higher probability. A move is judged by the
complete-data log-likelihood that the merge loses and the split gains, computed from the moments of
the components without another pass over the data.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxem.models.initializers import draw_row, squared_distances_from, uniform
from jaxem.numerics import einsum

#: Share of each row of a split component that goes to the half from which it is farther.
MIXED = 0.05


def split_and_merge(key, x, weight, resp, active, moments: Callable, value: Callable) -> jax.Array:
    """Responsibilities f[n, k] of a proposal, from those of the current fit, resp f[n, k].

    One of the `active` b[k] components is merged into the component that it overlaps most. Half of
    a third component takes its place, split between two of its rows that k-means++ draws. x f[n,
    d], weight f[n]; `moments(resp) f[k, p]`, and `value(moments) f[k]` is the largest complete-data
    log-likelihood of components with these moments. At least three components are active.
    """
    where, which = jax.random.split(key)
    cut_each = jax.vmap(_cut, in_axes=(0, None, None, 1), out_axes=1)
    halves = resp * cut_each(jax.random.split(where, active.size), x, weight, resp)
    whole, half = moments(resp), moments(halves)
    partner = _nearest(weight, resp, active)
    alone, merged = value(whole), value(whole + whole[partner])
    cost = alone + alone[partner] - merged
    gain = value(half) + value(whole - half) - alone
    u = uniform(which, (2,), x.dtype)
    moved = _draw_by_rank(u[0], jnp.where(active, -cost, -jnp.inf))
    number, into = jnp.arange(active.size), partner[moved]
    others = active & (number != moved) & (number != into)
    cut = _draw_by_rank(u[1], jnp.where(others, gain, -jnp.inf))
    leaves, joins, gives = jax.nn.one_hot(jnp.stack([moved, into, cut]), active.size, dtype=x.dtype)
    resp = resp + jnp.outer(resp[:, moved], joins - leaves)
    return resp + jnp.outer(resp[:, cut] - halves[:, cut], leaves - gives)


def _cut(key, x, weight, own):
    """f[n], the share of each row that goes to the first half of a component with weights own
    f[n]."""
    u = uniform(key, (2,), x.dtype)
    first = squared_distances_from(x[draw_row(u[0], own * weight, weight)], x)
    second = squared_distances_from(x[draw_row(u[1], own * weight * first, weight)], x)
    return jnp.where(first <= second, 1 - MIXED, MIXED)


def _nearest(weight, resp, active):
    """i[k], for each component the active component that it overlaps most, by the cosine between
    their responsibilities."""
    common = einsum("nk,nl->kl", resp * weight[:, None], resp)
    size = jnp.maximum(jnp.diag(common), jnp.finfo(resp.dtype).tiny)
    other = active[None, :] & ~jnp.eye(active.size, dtype=bool)
    return jnp.argmax(jnp.where(other, common / jnp.sqrt(size)[None, :], -1), axis=1)


def _draw_by_rank(u, score):
    """An index drawn by u in [0, 1) with probability proportional to 1 / rank, the highest finite
    score f[k] first."""
    score = jnp.where(jnp.isfinite(score), score, -jnp.inf)
    order = jnp.argsort(-score)
    mass = jnp.where(jnp.isfinite(score[order]), 1 / (1.0 + jnp.arange(score.size)), 0)
    running = jnp.cumsum(mass)
    return order[jnp.minimum(jnp.sum(running <= u * running[-1]), score.size - 1)]
