"""`Data(x, weight, label)`: the only input of a model, checked once, in the public functions."""

import jax.numpy as jnp
from jax.sharding import Mesh

from jaxem.core.trees import pytree, static
from jaxem.core.types import Array as Array
from jaxem.core.types import Rows


@pytree
class Data:
    """n exchangeable units. The weight is the only mask: a row of weight 0 is absent.

    >>> x = datasets.load("old_faithful")
    >>> weight = np.where(x[:, 0] < 5, 1.0, 0.0)  # leave long eruptions out
    >>> data = jaxem.Data(jnp.asarray(x), jnp.asarray(weight))
    >>> data
    Data(x=float...[272, 2], weight=float...[272])
    """

    x: Array  #: f[n, d]; f[n, ..., d] for models whose units are several rows
    weight: Array  #: f[n]
    label: Array | None = None  #: i[n], the known component of a row, -1 where unknown
    mesh: Mesh | None = static(default=None)  #: devices that the rows are spread over


def as_data(x: Rows, weight: Rows = None, label: Rows = None, units: bool = False) -> Data:
    """Build `Data` from arrays or tracers; values are not checked, so it works under `jit`. A unit
    is one row, x f[n, d], unless `units` allows it several axes."""
    if isinstance(x, Data):
        check_none_beside(weight, label)
        return x
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise ValueError(f"x must be real; got dtype {x.dtype}.")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    x = x[:, None] if x.ndim == 1 else x
    if not units:
        check_rows(x.shape)
    weight = jnp.ones(x.shape[:1], x.dtype) if weight is None else jnp.asarray(weight, x.dtype)
    label = None if label is None else jnp.asarray(label, jnp.int32)
    for name, value in (("sample_weight", weight), ("labels", label)):
        check_per_row(name, value, x.shape[0])
    return Data(x, weight, label)


def device_data(x: Rows, weight: Rows = None, label: Rows = None) -> Data:
    """`Data` of x's dtype on JAX's default device, from NumPy arrays; nothing is checked."""
    weight = jnp.ones(len(x), x.dtype) if weight is None else jnp.asarray(weight, x.dtype)
    label = None if label is None else jnp.asarray(label, jnp.int32)
    return Data(jnp.asarray(x), weight, label)


def check_rows(shape: tuple[int, ...]) -> None:
    """ValueError for the shape of an x that is not f[n, d]."""
    if len(shape) != 2:
        raise ValueError(
            f"x must have shape [n] or [n, d], one row per unit; got {shape}. Reshape it."
        )


def check_per_row(name: str, value: Array | None, n: int) -> None:
    """ValueError for weights, labels or groups that are not one for each of n rows."""
    if value is not None and value.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one per row of x; got {value.shape}.")


def check_none_beside(weight: Rows, label: Rows, kind: str = "Data") -> None:
    """ValueError for weights or labels beside x of a kind that has its own."""
    if weight is not None or label is not None:
        raise ValueError(f"x is {kind}, which has its own weight and label: give them there only.")
