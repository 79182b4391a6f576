"""Starting responsibilities f[n, k]: pure functions of (key, x, weight, k), for jit and vmap.

A start is one M-step on these, so a family needs no initialisation code. Hard assignments are
softened by `SMOOTHING`, so that a component with a single row gets a usable covariance.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxem.core.types import Init, Size
from jaxem.numerics import einsum

#: Share of every row that is spread evenly over all components.
SMOOTHING = 0.05

#: Entries per node of the tree of sums from which rows are drawn.
WIDTH = 128

#: Largest number of columns whose distances are summed term by term, rows minor, to vectorise.
WRITTEN = 8


def squared_distances_from(centre, x):
    """Squared Euclidean distances f[n] from one centre f[d]: exactly 0 for a row equal to the
    centre."""
    if x.shape[1] > WRITTEN:
        return jnp.sum((x - centre[None, :]) ** 2, axis=1)
    return sum((column - own) ** 2 for column, own in zip(x.T, centre, strict=True))


def _distances(x, centres):
    """Squared Euclidean distances f[k, n]. Callers centre x of more than `WRITTEN` columns, so that
    the expansion is accurate."""
    if x.shape[1] <= WRITTEN:
        return jax.vmap(squared_distances_from, in_axes=(0, None))(centres, x)
    cross = einsum("kd,nd->kn", centres, x)
    square = jnp.sum(x * x, axis=1)[None, :] + jnp.sum(centres * centres, axis=1)[:, None]
    return jnp.maximum(square - 2 * cross, 0)


def uniform(key, shape, dtype):
    """Uniform numbers, equal for float32 and float64, so that starts do not depend on precision."""
    return jax.random.uniform(key, shape, jnp.float32).astype(dtype)


def _nearest(x, centres, active):
    """One-hot rows f[n, k]: the nearest of the first `active` centres."""
    number = jnp.arange(len(centres))[:, None]
    gap = jnp.where(number >= active, jnp.inf, _distances(x, centres))
    return (number == jnp.argmin(gap, axis=0)[None, :]).astype(x.dtype).T


def draw_row(u, mass, weight):
    """The number of a row drawn by u in [0, 1), with probability proportional to mass f[n], or to
    weight where all masses are 0.

    The draw descends a tree of sums over `WIDTH` entries: there is no long running sum, and rows
    without mass at the end (padding) change nothing. A row without mass is never drawn.
    """
    mass = jnp.where(jnp.sum(mass) > 0, mass, weight)
    tree = [_table(mass)]
    while tree[-1].shape[0] > 1:
        tree.append(_table(jnp.sum(tree[-1], axis=1)))
    u = u * jnp.sum(tree[-1][0])
    row = jnp.zeros((), jnp.int32)
    for table in reversed(tree):
        entry, before = _first_beyond(u, table[row])
        row, u = row * WIDTH + entry, u - before
    return row


def _table(values):
    """values f[n] in rows of `WIDTH`, padded with zeros."""
    return jnp.pad(values, (0, -values.shape[0] % WIDTH)).reshape(-1, WIDTH)


def _first_beyond(u, mass):
    """The first entry of positive mass whose running sum exceeds u, and the sum before it."""
    upper = jnp.triu(jnp.ones((WIDTH, WIDTH), mass.dtype))
    running = einsum("i,ij->j", mass, upper)
    number = jnp.arange(WIDTH, dtype=jnp.int32)
    index = jnp.min(jnp.where((running > u) & (mass > 0), number, WIDTH))
    # Rounding can leave u at or beyond the last sum; the last entry with mass is then drawn.
    index = jnp.minimum(index, jnp.max(jnp.where(mass > 0, number, 0)))
    return index, running[index] - mass[index]


def plus_plus_centres(key, x, weight, k):
    """k-means++ seeding (Arthur and Vassilvitskii 2007): rows drawn by squared distance."""
    u = uniform(key, (k,), x.dtype)

    def add(i, carry):
        centres, nearest = carry
        new = x[draw_row(u[i], jnp.where(i == 0, weight, weight * nearest), weight)]
        return centres.at[i].set(new), jnp.minimum(nearest, squared_distances_from(new, x))

    start = jnp.zeros((k, x.shape[1]), x.dtype), jnp.full(x.shape[:1], jnp.inf, x.dtype)
    return jax.lax.fori_loop(0, k, add, start)[0]


def k_means_plus_plus(key, x, weight, k, active):
    """Each row to its nearest k-means++ seed."""
    return _nearest(x, plus_plus_centres(key, x, weight, k), active)


def k_means(key, x, weight, k, active, n_iter=20):
    """Lloyd's iterations from k-means++ seeds; an empty cluster keeps its centre."""

    def step(_, centres):
        r = _nearest(x, centres, active) * weight[:, None]
        count = jnp.sum(r, axis=0)[:, None]
        sums = einsum("nk,nd->kd", r, x)
        return jnp.where(count > 0, sums / jnp.where(count > 0, count, 1), centres)

    centres = jax.lax.fori_loop(0, n_iter, step, plus_plus_centres(key, x, weight, k))
    return _nearest(x, centres, active)


def random_rows(key, x, weight, k, active):
    """Each row to the nearest of k rows drawn at random, without replacement, by weight."""
    noise = jax.random.gumbel(key, weight.shape, jnp.float32).astype(weight.dtype)
    score = jnp.where(weight > 0, jnp.log(jnp.where(weight > 0, weight, 1)) + noise, -jnp.inf)
    return _nearest(x, x[jax.lax.top_k(score, k)[1]], active)


def random(key, x, weight, k, active):
    """Random responsibilities, uniform and normalised (scikit-learn's "random")."""
    r = uniform(key, (x.shape[0], k), x.dtype)
    r = jnp.where(jnp.arange(k)[None, :] < active, r, 0)
    return r / jnp.sum(r, axis=1, keepdims=True)


INITIALIZERS: dict[str, Callable] = {
    "k-means++": k_means_plus_plus,
    "kmeans": k_means,
    "random_from_data": random_rows,
    "random": random,
}


def responsibilities(init: Init, key, x, weight, k, active: Size | None = None):
    """Responsibilities f[n, k] by name or callable `(key, x, weight, k) -> f[n, k]`.

    `active` (may be traced; for names only) is the number of components with rows. The others are
    switched off; the starts equal those for k = active (except for "random").
    """
    if callable(init):
        return init(key, x, weight, k)
    if init not in INITIALIZERS:
        raise ValueError(
            f"init must be one of {', '.join(INITIALIZERS)} or a callable; got {init!r}."
        )
    active = k if active is None else active
    if x.shape[1] > WRITTEN:
        # Rounded to 8 bits, which rows of weight 0 do not change: ties of distances stay ties.
        mean = (einsum("n,nd->d", weight, x) / jnp.sum(weight)).astype(jnp.bfloat16)
        x = x - mean.astype(x.dtype)[None, :]
    r = INITIALIZERS[init](key, x, weight, k, active)
    if init == "random":
        return r
    even = jnp.where(jnp.arange(k) < active, SMOOTHING / jnp.asarray(active, x.dtype), 0)
    return (1 - SMOOTHING) * r + even[None, :]
