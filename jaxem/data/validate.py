"""Checks of data on the host: a ValueError names the row and column, and the remedy."""

from typing import TypeVar

import jax
import numpy as np
from jax.core import Tracer

from jaxem.core.types import Rows
from jaxem.data.data import Array, Data, check_none_beside, check_per_row, check_rows

T = TypeVar("T")

ALL_ZERO = "sample_weight is zero for every row: there is nothing to fit."


class TooFewRows(ValueError):
    """Fewer rows than a fit needs."""


def host_data(x: Rows, weight: Rows = None, label: Rows = None) -> Data:
    """`Data` of NumPy arrays: x f[n, ..., d] in its float dtype (float64 if it has none), weight
    f[n], label i[n] or None. Of `Data`, the rows that this process holds.

    Raises ValueError for anything but a rectangular array of real numbers, and for weights and
    labels that do not match it. A model's own `validate` checks the values of x and labels.
    """
    mesh = None
    if isinstance(x, Data):
        check_none_beside(weight, label)
        x, weight, label, mesh = own_part(x.x), own_part(x.weight), own_part(x.label), x.mesh
    array = as_real(x, "x")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim == 0:
        raise ValueError("x must have shape [n] or [n, d], one row per unit; got (). Reshape it.")
    n = len(array)
    weights = np.ones(n) if weight is None else as_real(weight, "sample_weight")
    if weight is not None:
        check_weight(weights, n)
    if label is not None:
        label = as_real(label, "labels")
        check_per_row("labels", label, n)
    return Data(array, weights, label, mesh)


def as_host_data(data: Rows) -> Data:
    """`Data` of NumPy arrays from x alone; `Data` is returned as it is."""
    return data if isinstance(data, Data) else host_data(data)


def own_part(leaf: T) -> T | np.ndarray:
    """The rows that this process holds of an array spread over processes; others unchanged."""
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
        return leaf
    return np.concatenate([np.asarray(shard.data) for shard in leaf.addressable_shards])


def check_finite(values: Array) -> None:
    """ValueError unless x is f[n, d], not empty, and finite."""
    array = np.asarray(values)
    check_rows(array.shape)
    if array.size == 0:
        raise ValueError(f"x is empty: shape {array.shape}. At least one row and column is needed.")
    bad = np.asarray(~np.isfinite(array).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        column = int(np.argmax(~np.isfinite(array[row])))
        raise ValueError(
            f"x has NaN or infinity in {bad.sum()} of {len(bad)} rows, first in row {row}, column "
            f"{column} ({array[row, column]}). Drop or impute those rows."
        )


def check_components(n_components: object, weight: Array, present: int | None = None) -> None:
    """ValueError unless there are at least as many rows of positive weight as components. `present`
    is the number of such rows in all processes; None: only `weight` counts."""
    if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer):
        raise ValueError(f"n_components must be a whole number; got {n_components!r}.")
    if n_components < 1:
        raise ValueError(f"n_components must be at least 1; got {n_components}.")
    here = int(np.sum(np.asarray(weight) > 0))
    if n_components > (here if present is None else present):
        kind = "rows" if here == len(weight) else "rows of positive weight"
        where = f"{kind} of x ({here})"
        if present is not None:
            where = f"rows of all processes ({present})"
        raise TooFewRows(
            f"n_components must be at most the number of {where}; got {n_components}. Use fewer "
            "components or more data."
        )


def check_labels(labels: Array, n_components: int) -> None:
    """ValueError unless every label is the number of a component, or -1."""
    label = np.asarray(labels)
    bad = ~((label >= -1) & (label < n_components) & (label == np.round(label)))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"labels must be whole numbers from 0 to {n_components - 1}, or -1 where the component "
            f"is unknown; row {row} is {label[row]:g}."
        )


def as_real(value: Rows, name: str) -> np.ndarray:
    """A NumPy array of floats; ValueError, naming the cell, for cells that are no numbers."""
    if isinstance(value, Tracer):
        raise ValueError(
            f"{name} is traced, and its values are needed here: call jaxem.em under jit and vmap."
        )
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} must be a rectangular array; its rows differ in length."
        ) from None
    if array.dtype.kind in "OUS":
        array = _parse(array, name)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers; got dtype {array.dtype}. Convert it.")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _parse(array: np.ndarray, name: str) -> np.ndarray:
    """Floats from an array of objects that are all numbers; text is refused, digits or not."""
    for index, cell in np.ndenumerate(array):
        if not isinstance(cell, int | float | np.number | np.bool_) or isinstance(cell, complex):
            cell = cell.item() if isinstance(cell, np.generic) else cell
            where = ", ".join(f"{a} {i}" for a, i in zip(("row", "column"), index, strict=False))
            raise ValueError(
                f"{name} must hold numbers; {where} holds {cell!r}. Drop or encode that column."
            )
    return array.astype(np.float64)


def check_weight(weight: np.ndarray, n: int) -> None:
    """ValueError, naming the row, for weights that are not finite, negative, or all 0."""
    check_per_row("sample_weight", weight, n)
    check_weights(weight)
    if not (weight > 0).any():
        raise ValueError(ALL_ZERO)


def check_weights(weight: np.ndarray) -> None:
    """ValueError, naming the row, for weights that are not finite or negative."""
    bad = ~np.isfinite(weight) | (weight < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"sample_weight must be finite and not negative; row {row} is {weight[row]}. "
            "Use 0 to leave a row out."
        )
