"""Checks of settings, on the host: a ValueError names the setting and the value given."""

import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.types import Number


def positive(name: str, value: object, zero: bool = False) -> None:
    """Every entry is finite and above 0 (or 0 itself where `zero`)."""
    array = np.asarray(value, float)
    fine = np.isfinite(array) & ((array >= 0) if zero else (array > 0))
    if not fine.all():
        what = "not negative" if zero else "positive"
        raise ValueError(f"{name} must be finite and {what}; got {value}.")


def integer(name: str, value: Number, least: int) -> None:
    """A whole number, at least `least`."""
    if np.ndim(value) != 0:
        raise ValueError(f"{name} must be one whole number; got {value!r}.")
    if not float(value).is_integer():
        raise ValueError(f"{name} must be a whole number; got {value}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}; got {value}.")


def shape(name: str, value: ArrayLike, want: tuple[int, ...]) -> None:
    """Exactly this shape."""
    if np.shape(value) != want:
        raise ValueError(f"{name} must have shape {want}; got {np.shape(value)}.")
