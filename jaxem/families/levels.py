"""Numbers of categories: one for all columns of codes, or a tuple with one for each."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.validation import integer

T = TypeVar("T", bound=ArrayLike)


def hashable(n_categories: T) -> T | tuple[int, ...]:
    """A sequence of numbers as a tuple; one number unchanged."""
    single = np.ndim(n_categories) != 1
    return n_categories if single else tuple(np.asarray(n_categories).tolist())


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
    """ValueError for numbers below 1, and for codes in x f[n, d] that a column does not have."""
    each = isinstance(n_categories, tuple)
    for count in n_categories if each else (n_categories,):
        integer("n_categories", count, 1)
    own = np.array(of_columns(n_categories, x.shape[1]))
    bad = (x < 0) | (x >= own) | (x != np.round(x))
    if bad.any():
        row = int(np.argmax(bad.any(axis=1)))
        column = int(np.argmax(bad[row]))
        where = f"0 to {own[column] - 1}" + (f" in column {column}" if each else "")
        raise ValueError(f"x must hold codes from {where}; row {row}: {x[row]}.")


def present(own: tuple[int, ...], shape: tuple[int, ...]) -> jax.Array | None:
    """b[.., d, c]: the categories that each column has; None where all columns have all."""
    if min(own) == max(own):
        return None
    return jnp.broadcast_to(jnp.arange(max(own))[None, :] < jnp.asarray(own)[:, None], shape)


def only_present(value: jax.Array, own: tuple[int, ...]) -> jax.Array:
    """`value` f[.., d, c] with 0 for categories that a column does not have."""
    mask = present(own, value.shape)
    return value if mask is None else jnp.where(mask, value, 0)


def shown(x: np.ndarray) -> int | tuple[int, ...]:
    """The number of categories in each column of codes x f[n, d]; one number where all are
    equal."""
    own = tuple(max(int(top) + 1, 1) for top in x.max(axis=0))
    return own[0] if min(own) == max(own) else own
