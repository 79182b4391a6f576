"""Rows over devices: each device sums its own rows, the sums are added, and no row ever moves."""

from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxem.core.pytree import replace
from jaxem.data.data import Data, as_data
from jaxem.devices import distributed
from jaxem.devices.collectives import ROWS
from jaxem.devices.placement import device_list

Model = TypeVar("Model")


def shard_rows(model: Model, devices: Any = "all") -> Model:
    """`model` with the rows of its data spread over `devices` (as in `jaxem.fit`, or a Mesh).

    Each device takes the E-step of its own rows, and statistics and log-likelihood are added by
    a `psum`: results agree with one device's to rounding. For `em`, `e_step` and `fit`. Rows are
    filled up at weight 0 where the devices do not divide them. With devices of several processes,
    each process gives its own rows to `fit`, or to `place_rows` for `em`. ValueError as `fit`.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> spread = jaxem.shard_rows(model, "all")
    >>> jaxem.fit(spread, x, key=jax.random.key(0), n_starts=8)
    Fit(8 fits, best log-likelihood -1130.26, ...)
    """
    return replace(model, mesh=Mesh(np.array(device_list(devices)), (ROWS,)))


def place_rows(model: Any, x: Any, sample_weight: Any = None, labels: Any = None) -> Data:
    """`Data` whose rows lie on the devices of a `shard_rows` model; of several processes, each
    gives its own rows f[n, d]. ValueError where their dtypes or columns differ.

    >>> model = jaxem.shard_rows(jaxem.Mixture(jaxem.Poisson(), n_components=2), "all")
    >>> data = jaxem.place_rows(model, np.array([[1.0], [0.0], [7.0]]))
    >>> float(data.weight.sum())  # rows beyond the third, if any, have weight 0
    3.0
    """
    if model.mesh is None:
        raise ValueError("model has no devices for its rows: make it by jaxem.shard_rows first.")
    data = jax.tree.map(np.asarray, as_data(x, sample_weight, labels))
    check_alike(model.mesh, data.x)
    return spread_data(model.mesh, data.x, data.weight, data.label)


def over_processes(mesh: Mesh | None) -> bool:
    """Whether the devices belong to several processes. ValueError unless to all of them."""
    if mesh is None:
        return False
    owners = {device.process_index for device in mesh.devices.flat}
    if len(owners) > 1 and len(owners) < jax.process_count():
        raise ValueError(
            f"rows are spread over processes {sorted(owners)} of {jax.process_count()}: give "
            "devices of every process ('all') or of this one ('local')."
        )
    return len(owners) > 1


def check_alike(mesh: Mesh | None, x: np.ndarray) -> None:
    """ValueError, naming the processes, where their rows differ in dtype or columns."""
    if over_processes(mesh):
        distributed.agree("the dtype of x", str(x.dtype))
        distributed.agree("the number of columns of x", str(x.shape[1]))


def check_enough(mesh: Mesh | None, x: np.ndarray, weight: Any, n_components: int) -> None:
    """ValueError where all processes together have fewer rows than components."""
    if over_processes(mesh):
        present = distributed.total(
            np.array(len(x) if weight is None else np.sum(np.asarray(weight) > 0))
        )
        if present < n_components:
            raise ValueError(
                f"n_components must be at most the number of rows of all processes "
                f"({int(present)}); got {n_components}. Use fewer components or more data."
            )


def spread_data(mesh: Mesh, x: Any, weight: Any, label: Any) -> Data:
    """`Data` from what this process holds, filled up with copies of row 0 at weight 0."""
    label = None if label is None else _spread(mesh, label, -1)
    return Data(_spread(mesh, x, None), _spread(mesh, weight, 0), label)


def spread(mesh: Mesh | None, rows: np.ndarray) -> Any:
    """One array f[n, ...] of this process's rows on its devices, filled up with zeros."""
    return rows if mesh is None else _spread(mesh, rows, 0)


def _spread(mesh: Mesh, rows: np.ndarray, fill: float | None) -> jax.Array:
    own = sum(device.process_index == jax.process_index() for device in mesh.devices.flat)
    each = -(-len(rows) // own)
    if over_processes(mesh):
        each = max(int(said) for said in distributed.exchange(str(each).encode()))
    missing = each * own - len(rows)
    filling = rows[:1] if fill is None else np.full_like(rows[:1], fill)
    full = np.concatenate([rows, np.repeat(filling, missing, axis=0)])
    shape = each * mesh.size, *rows.shape[1:]
    sharding = NamedSharding(mesh, PartitionSpec(ROWS))
    return jax.make_array_from_process_local_data(sharding, full, shape)


def on_all(mesh: Mesh | None, tree: Any) -> Any:
    """Host or default-device leaves on every device of the mesh; as they are without one."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
