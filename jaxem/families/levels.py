"""Numbers of categories: one for all columns of codes, or a tuple with one for each."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.validation import integer


def hashable(n_categories: Any) -> int | tuple[int, ...]:
    """Any sequence of numbers as a tuple; one number as it is."""
    one = np.ndim(n_categories) != 1
    return n_categories if one else tuple(np.asarray(n_categories).tolist())


def of_columns(n_categories: int | tuple[int, ...], d: int) -> tuple[int, ...]:
    """The number of each of d columns; ValueError for a tuple of another length."""
    if not isinstance(n_categories, tuple):
        return (n_categories,) * d
    if len(n_categories) != d:
        raise ValueError(
            f"n_categories has numbers for {len(n_categories)} columns, but x has {d}."
        )
    return n_categories


def check(n_categories: int | tuple[int, ...], x: np.ndarray) -> None:
    """ValueError for numbers that make no sense, or codes in x f[n, d] that a column lacks."""
    each = isinstance(n_categories, tuple)
    for own in n_categories if each else (n_categories,):
        integer("n_categories", own, 1)
    own = np.array(of_columns(n_categories, x.shape[1]))
    bad = (x < 0) | (x >= own) | (x != np.round(x))
    if bad.any():
        row = int(np.argmax(bad.any(axis=1)))
        column = int(np.argmax(bad[row]))
        where = f"0 to {own[column] - 1}" + (f" in column {column}" if each else "")
        raise ValueError(f"x must hold codes from {where}; row {row}: {x[row]}.")


def present(own: tuple[int, ...], shape: tuple[int, ...]) -> jax.Array | None:
    """Which categories each column has b[.., d, c]; None where all have all."""
    if min(own) == max(own):
        return None
    return jnp.broadcast_to(jnp.arange(max(own))[None, :] < jnp.asarray(own)[:, None], shape)


def only_present(value: jax.Array, own: tuple[int, ...]) -> jax.Array:
    """`value` f[.., d, c], and 0 for categories that a column does not have."""
    mask = present(own, value.shape)
    return value if mask is None else jnp.where(mask, value, 0)


def shown(x: np.ndarray) -> int | tuple[int, ...]:
    """As many categories as each column of codes x f[n, d] shows; one number where all agree."""
    own = tuple(max(int(top) + 1, 1) for top in x.max(axis=0))
    return own[0] if min(own) == max(own) else own
