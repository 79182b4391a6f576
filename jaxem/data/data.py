"""`Data(x, weight, label)`: the only input of a model, checked once, at the door."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.pytree import pytree


@pytree
class Data:
    """n exchangeable units. The weight is the only mask: weight 0 is a row that is absent.

    >>> x = datasets.load("old_faithful")
    >>> weight = np.where(x[:, 0] < 5, 1.0, 0.0)  # leave long eruptions out
    >>> data = jaxem.Data(jnp.asarray(x), jnp.asarray(weight))
    >>> data
    Data(x=float...[272, 2], weight=float...[272])
    """

    x: jax.Array  #: f[n, d]
    weight: jax.Array  #: f[n]
    label: jax.Array | None = None  #: i[n], the known component of a row, -1 where unknown


def as_data(x: Any, weight: Any = None, label: Any = None) -> Data:
    """Build `Data` from arrays or tracers; no values are looked at, so it works under `jit`."""
    if isinstance(x, Data):
        if weight is not None or label is not None:
            raise ValueError("x is Data, which has its own weight and label: give them there only.")
        return x
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise ValueError(f"x must be real; got dtype {x.dtype}.")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2:
        raise ValueError(f"x must have shape [n] or [n, d]; got {x.shape}.")
    weight = jnp.ones(x.shape[:1], x.dtype) if weight is None else jnp.asarray(weight, x.dtype)
    label = None if label is None else jnp.asarray(label, jnp.int32)
    for name, value in (("sample_weight", weight), ("labels", label)):
        if value is not None and value.shape != x.shape[:1]:
            raise ValueError(_shape_message(name, x.shape[0], value.shape))
    return Data(x, weight, label)


def check_data(x: Any, weight: Any, label: Any, n_components: int) -> np.ndarray:
    """Look at the values on the host and refuse what cannot be fitted; returns x as f[n, d]."""
    array = _check_rows(x)
    n = array.shape[0]
    present = n if weight is None else _check_weight(weight, n)
    if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer):
        raise ValueError(f"n_components must be a whole number; got {n_components!r}.")
    if n_components < 1:
        raise ValueError(f"n_components must be at least 1; got {n_components}.")
    if n_components > present:
        kind = "rows" if present == n else "rows of positive weight"
        raise ValueError(
            f"n_components must be at most the number of {kind} of x ({present}); got "
            f"{n_components}. Use fewer components or more data."
        )
    if label is not None:
        _check_label(label, n, n_components)
    return array


def _check_rows(x: Any) -> np.ndarray:
    array = _as_real(x, "x")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(
            f"x must have shape [n] or [n, d], one row per unit; got {array.shape}. Reshape it."
        )
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
    return array


def _as_real(value: Any, name: str) -> np.ndarray:
    """A NumPy array of floats; ValueError naming the cell that is not a number."""
    if isinstance(value, jax.core.Tracer):
        raise ValueError(
            f"{name} is traced, and its values are needed here: call jaxem.em under jit and vmap."
        )
    if isinstance(value, Data):
        raise ValueError(f"{name} is Data: give its x, and sample_weight=data.weight.")
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


def _shape_message(name: str, n: int, shape: tuple[int, ...]) -> str:
    return f"{name} must have shape ({n},), one per row of x; got {shape}."


def _check_weight(weight: Any, n: int) -> int:
    """The number of rows of positive weight."""
    weight = _as_real(weight, "sample_weight")
    if weight.shape != (n,):
        raise ValueError(_shape_message("sample_weight", n, weight.shape))
    bad = ~np.isfinite(weight) | (weight < 0)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"sample_weight must be finite and not negative; row {row} is {weight[row]}. "
            "Use 0 to leave a row out."
        )
    if not (weight > 0).any():
        raise ValueError("sample_weight is zero for every row: there is nothing to fit.")
    return int((weight > 0).sum())


def _check_label(label: Any, n: int, n_components: int) -> None:
    label = _as_real(label, "labels")
    if label.shape != (n,):
        raise ValueError(_shape_message("labels", n, label.shape))
    bad = ~((label >= -1) & (label < n_components) & (label == np.round(label)))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"labels must be whole numbers from 0 to {n_components - 1}, or -1 where the component "
            f"is unknown; row {row} is {label[row]:g}."
        )
