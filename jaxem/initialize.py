"""Starting responsibilities f[n, k]: pure functions of (key, x, weight, k) that jit and vmap.

A start is one M-step on these, so a family needs no initialisation code. Hard assignments are
softened by `SMOOTHING`, which gives a component that caught a single row a usable covariance.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxem.numerics import einsum

#: Share of every row that is spread evenly over all components.
SMOOTHING = 0.05


def _distances(x, centres):
    """Squared Euclidean distances f[n, k]; x arrives centred, so the expansion keeps its digits."""
    cross = einsum("nd,kd->nk", x, centres)
    square = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(centres * centres, axis=1)[None, :]
    return jnp.maximum(square - 2 * cross, 0)


def _nearest(x, centres):
    return jax.nn.one_hot(jnp.argmin(_distances(x, centres), axis=1), len(centres), dtype=x.dtype)


def _draw(key, mass):
    """A row drawn with probability proportional to mass f[n] (uniform where all mass is gone)."""
    mass = jnp.where(jnp.sum(mass) > 0, mass, 1)
    total = jnp.cumsum(mass)
    u = jax.random.uniform(key, (), mass.dtype) * total[-1]
    return jnp.clip(jnp.searchsorted(total, u, side="right"), 0, len(mass) - 1)


def plus_plus_centres(key, x, weight, k):
    """k-means++ seeding (Arthur and Vassilvitskii 2007): rows drawn by squared distance."""
    keys = jax.random.split(key, k)
    first = x[_draw(keys[0], weight)]
    centres = jnp.zeros((k, x.shape[1]), x.dtype).at[0].set(first)

    def add(i, carry):
        centres, nearest = carry
        new = x[_draw(keys[i], weight * nearest)]
        gap = jnp.sum((x - new[None, :]) ** 2, axis=1)
        return centres.at[i].set(new), jnp.minimum(nearest, gap)

    start = centres, jnp.sum((x - first[None, :]) ** 2, axis=1)
    return jax.lax.fori_loop(1, k, add, start)[0]


def k_means_plus_plus(key, x, weight, k):
    """Each row to its nearest k-means++ seed."""
    return _nearest(x, plus_plus_centres(key, x, weight, k))


def k_means(key, x, weight, k, n_iter=20):
    """Lloyd's iterations from k-means++ seeds; an empty cluster keeps its centre."""

    def step(_, centres):
        r = _nearest(x, centres) * weight[:, None]
        count = jnp.sum(r, axis=0)[:, None]
        sums = einsum("nk,nd->kd", r, x)
        return jnp.where(count > 0, sums / jnp.where(count > 0, count, 1), centres)

    centres = jax.lax.fori_loop(0, n_iter, step, plus_plus_centres(key, x, weight, k))
    return _nearest(x, centres)


def random_rows(key, x, weight, k):
    """Each row to the nearest of k rows drawn at random, without replacement, by weight."""
    noise = jax.random.gumbel(key, weight.shape, weight.dtype)
    score = jnp.where(weight > 0, jnp.log(jnp.where(weight > 0, weight, 1)) + noise, -jnp.inf)
    return _nearest(x, x[jax.lax.top_k(score, k)[1]])


def random(key, x, weight, k):
    """Random responsibilities, uniform and normalised (scikit-learn's "random")."""
    r = jax.random.uniform(key, (x.shape[0], k), x.dtype)
    return r / jnp.sum(r, axis=1, keepdims=True)


INITIALIZERS: dict[str, Callable] = {
    "k-means++": k_means_plus_plus,
    "kmeans": k_means,
    "random_from_data": random_rows,
    "random": random,
}


def responsibilities(init: Any, key, x, weight, k):
    """Responsibilities f[n, k] by name or callable `(key, x, weight, k) -> f[n, k]`."""
    if callable(init):
        return init(key, x, weight, k)
    if init not in INITIALIZERS:
        raise ValueError(
            f"init must be one of {', '.join(INITIALIZERS)} or a callable; got {init!r}."
        )
    mean = einsum("n,nd->d", weight, x) / jnp.sum(weight)
    r = INITIALIZERS[init](key, x - mean[None, :], weight, k)
    return r if init == "random" else (1 - SMOOTHING) * r + SMOOTHING / k
