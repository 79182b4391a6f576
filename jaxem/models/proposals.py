"""A way out of a local optimum: two components merged, a third one split (Ueda, Nakano, Ghahramani
and Hinton 2000, Neural Computation 12, 2109), for any family.

Which ones is drawn, the better the likelier: by the complete-data log-likelihood that a merge costs
and a split gains, which the moments of the components tell without another look at the data.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxem.models.initializers import draw_row, squared_distances_from, uniform
from jaxem.numerics import einsum

#: Share of a split component's rows that goes to the half they are farther from.
MIXED = 0.05


def split_and_merge(key, x, weight, resp, active, moments: Callable, value: Callable) -> jax.Array:
    """Responsibilities f[n, k] of a child from those of its parent, resp f[n, k].

    One of the `active` b[k] components is merged into the one that it overlaps most; its place
    takes half of a third, cut between two of its rows as k-means++ draws them. x f[n, d],
    weight f[n]; `moments(resp) f[k, p]`, and `value(moments) f[k]` is what components with such
    moments add to the complete-data log-likelihood at best. Three components at least are active.
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
    """Shares f[n] of the rows that go to the first half of a component of responsibilities f[n]."""
    u = uniform(key, (2,), x.dtype)
    first = squared_distances_from(x[draw_row(u[0], own * weight, weight)], x)
    second = squared_distances_from(x[draw_row(u[1], own * weight * first, weight)], x)
    return jnp.where(first <= second, 1 - MIXED, MIXED)


def _nearest(weight, resp, active):
    """For each component the active one that it overlaps most, by the cosine between their
    responsibilities i[k]."""
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
