"""Rows spread over devices: each device sums its own rows, sums are added, and rows never move."""

import warnings
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import ArrayLike

from jaxem.core.trees import replace
from jaxem.core.types import Devices, Rows
from jaxem.data.data import Array, Data
from jaxem.data.validate import host_data
from jaxem.devices import distributed
from jaxem.devices.collectives import ROWS
from jaxem.devices.placement import device_list

T = TypeVar("T")


def shard_rows(
    x: Rows, devices: Devices = "all", sample_weight: Rows = None, labels: Rows = None
) -> Data:
    """`Data` whose rows are spread over `devices` (as in `jaxem.fit`, or a Mesh), for `em`,
    `e_step` and `fit`.

    Each device takes the E-step of its own rows, and statistics and log-likelihood are added by a
    `psum`: results agree with those of one device to rounding. Rows of weight 0 are added where the
    number of devices does not divide the number of rows. With devices of several processes, each
    process gives its own rows f[n, d]. Raises ValueError as `fit`, and where dtypes or columns of
    processes differ.

    Deprecated, until the next release: x may be a model; its data are then spread in every fit.

    >>> data = jaxem.shard_rows(np.array([[1.0], [0.0], [7.0]]), "all")
    >>> float(data.weight.sum())  # rows beyond the third, if any, have weight 0
    3.0
    >>> model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    >>> jaxem.fit(model, data, key=jax.random.key(0), n_starts=4)
    Fit(4 fits, best log-likelihood ...)
    """
    mesh = Mesh(np.array(device_list(devices)), (ROWS,))
    if hasattr(type(x), "m_step"):
        return replace(x, mesh=mesh)  # warns of the deprecation
    data = host_data(x, sample_weight, labels)
    check_alike(mesh, data.x)
    return spread_data(mesh, data.x, data.weight.astype(data.x.dtype), as_label(data.label))


def place_rows(model: object, x: Rows, sample_weight: Rows = None, labels: Rows = None) -> Data:
    """Deprecated: `Data` spread over the devices of a `shard_rows` model. Use
    `jaxem.shard_rows(x, devices)`.

    >>> import warnings
    >>> warnings.simplefilter("ignore", FutureWarning)
    >>> model = jaxem.shard_rows(jaxem.Mixture(jaxem.Poisson(), n_components=2), "all")
    >>> float(jaxem.place_rows(model, np.array([[1.0], [0.0], [7.0]])).weight.sum())
    3.0
    """
    old = getattr(model, "deprecated", None)
    if old is None or old.mesh is None:
        raise ValueError("model has no devices for its rows: use jaxem.shard_rows(x) instead.")
    warnings.warn(
        "place_rows(model, x) is deprecated: jaxem.shard_rows(x, devices) gives the same Data.",
        FutureWarning,
        stacklevel=2,
    )
    return shard_rows(x, old.mesh, sample_weight, labels)


def over_processes(mesh: Mesh | None) -> bool:
    """Whether the devices belong to several processes. ValueError for several but not all."""
    if mesh is None:
        return False
    owners = {device.process_index for device in mesh.devices.flat}
    if len(owners) > 1 and len(owners) < jax.process_count():
        raise ValueError(
            f"rows are spread over processes {sorted(owners)} of {jax.process_count()}: give "
            "devices of every process ('all') or of this one ('local')."
        )
    return len(owners) > 1


def check_alike(mesh: Mesh | None, x: Array) -> None:
    """ValueError, naming the processes, where their rows differ in dtype or columns."""
    if over_processes(mesh):
        distributed.agree("the dtype of x", str(x.dtype))
        distributed.agree("the shape of a row of x", str(x.shape[1:]))


def rows_of_all_processes(data: Data) -> int | None:
    """Number of rows of positive weight in all processes; None where one process holds all rows."""
    if not over_processes(data.mesh):
        return None
    return int(distributed.total(np.array(np.sum(np.asarray(data.weight) > 0))))


def as_label(label: ArrayLike | None) -> np.ndarray | None:
    """Labels i[n], if any."""
    return None if label is None else np.asarray(label, np.int32)


def spread_data(mesh: Mesh, x: Array, weight: Array, label: Array | None) -> Data:
    """`Data` from the rows of this process, padded with copies of row 0 at weight 0."""
    known = None if label is None else _spread(mesh, label, -1)
    return Data(_spread(mesh, x, None), _spread(mesh, weight, 0), known, mesh)


def spread(mesh: Mesh | None, rows: np.ndarray) -> Array:
    """An array f[n, ...] of this process's rows on its devices, padded with zeros."""
    return rows if mesh is None else _spread(mesh, rows, 0)


def _spread(mesh: Mesh, rows: Array, fill: float | None) -> jax.Array:
    own = sum(device.process_index == jax.process_index() for device in mesh.devices.flat)
    each = -(-len(rows) // own)
    if over_processes(mesh):
        each = max(int(count) for count in distributed.exchange(str(each).encode()))
    missing = each * own - len(rows)
    filling = rows[:1] if fill is None else np.full_like(rows[:1], fill)
    full = np.concatenate([rows, np.repeat(filling, missing, axis=0)])
    shape = each * mesh.size, *rows.shape[1:]
    sharding = NamedSharding(mesh, PartitionSpec(ROWS))
    return jax.make_array_from_process_local_data(sharding, full, shape)


def on_all(mesh: Mesh | None, tree: T) -> T:
    """The tree on every device of the mesh; unchanged without a mesh."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
