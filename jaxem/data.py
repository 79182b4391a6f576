"""`Data(x, weight, label)`: the only input of a model, checked once, at the door."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.pytree import pytree


@pytree
class Data:
    """n exchangeable units. The weight is the only mask: weight 0 is a row that is absent."""

    x: jax.Array  # f[n, d]
    weight: jax.Array  # f[n]
    label: jax.Array | None = None  # i[n], the known component of a row, -1 where unknown


def as_data(x: Any, weight: Any = None, label: Any = None) -> Data:
    """Build `Data` from arrays or tracers; no values are looked at, so it works under `jit`."""
    if isinstance(x, Data):
        return x
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2:
        raise ValueError(f"x must have shape [n] or [n, d]; got {x.shape}.")
    weight = jnp.ones(x.shape[:1], x.dtype) if weight is None else jnp.asarray(weight, x.dtype)
    if weight.shape != x.shape[:1]:
        raise ValueError(
            f"sample_weight must have shape ({x.shape[0]},), one per row of x; got {weight.shape}."
        )
    return Data(x, weight, None if label is None else jnp.asarray(label, jnp.int32))


def check_data(x: Any, weight: Any, label: Any, n_components: int) -> np.ndarray:
    """Look at the values on the host and refuse what cannot be fitted; returns x as f[n, d]."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"x must be numeric; got dtype {array.dtype}.")
    array = array if array.dtype.kind == "f" else array.astype(np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(f"x must have shape [n] or [n, d]; got {array.shape}.")
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"x is empty: shape {array.shape}.")
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"x has NaN or infinity in row {row}: {array[row]}. Drop or impute it.")
    if n_components < 1 or n_components > array.shape[0]:
        raise ValueError(
            f"n_components must be between 1 and the number of rows ({array.shape[0]}); "
            f"got {n_components}."
        )
    _check_weight(weight, array.shape[0])
    _check_label(label, array.shape[0], n_components)
    return array


def _check_weight(weight: Any, n: int) -> None:
    if weight is None:
        return
    weight = np.asarray(weight)
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight must have shape ({n},), one per row of x; got {weight.shape}."
        )
    if not np.isfinite(weight).all() or (weight < 0).any():
        row = int(np.argmax(~np.isfinite(weight) | (weight < 0)))
        raise ValueError(
            f"sample_weight must be finite and not negative; row {row} is {weight[row]}."
        )
    if not (weight > 0).any():
        raise ValueError("sample_weight is zero for every row: there is nothing to fit.")


def _check_label(label: Any, n: int, n_components: int) -> None:
    if label is None:
        return
    label = np.asarray(label)
    if label.shape != (n,) or label.min() < -1 or label.max() >= n_components:
        raise ValueError(
            f"labels must have shape ({n},) with values -1 (unknown) to {n_components - 1}; "
            f"got shape {label.shape}, values {label.min()} to {label.max()}."
        )
