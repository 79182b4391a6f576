"""Problems ready for the batch engine: data in their frames, sizes, the store of their lanes."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch import planning, scheduler
from jaxem.batch.lanes import Grid
from jaxem.batch.state import Store
from jaxem.core.compiled import jitted
from jaxem.core.pytree import replace
from jaxem.data.data import Data
from jaxem.data.scaling import Frame, frame_of, standardize, standardized_model
from jaxem.devices import distributed
from jaxem.devices.placement import HERE, Place
from jaxem.devices.rows import on_all, over_processes, spread_data
from jaxem.engine.finish import cast
from jaxem.engine.loop import width_of
from jaxem.kernels import row_layout


def framed(model, raw: tuple) -> tuple[Frame, Data]:
    """The frame of x, sample weights and labels on the host, and the data in it."""
    x, weight, labels = raw
    total = distributed.total if over_processes(model.mesh) else None
    frame = frame_of(model.family, x, weight, total)
    z = standardize(x, frame)
    if model.mesh is None:
        return frame, host_data(z, weight, labels)
    weight = np.ones(len(x), x.dtype) if weight is None else np.asarray(weight, x.dtype)
    labels = None if labels is None else np.asarray(labels, np.int32)
    return frame, spread_data(model.mesh, z, weight, labels)


def plan_for(
    model, data: Data, n_starts: int, limit: int | None, groups: int = 0, place: Place = HERE
) -> planning.Plan:
    """Sizes for lanes that share one data set, or (groups > 0) for lanes with data of their own."""
    n, width = data.x.shape[-2], width_of(model, data)
    n = n if model.mesh is None else -(-n // model.mesh.size)
    lanes = n_starts * max(groups, 1)
    size = data.x.dtype.itemsize
    chunks = row_layout(n)[0] if model.kernel == "fused" else 0
    where = chunks, place.platform, place.devices, n_starts
    return planning.plan(n, width, model.n_components, lanes, size, groups == 0, limit, *where)


def one_data_set(
    model, data: Data, frame: Frame, n_starts: int, control, plan, place: Place = HERE
) -> Store:
    """The store of lanes that share one data set."""
    inner = cast(standardized_model(model, frame), data.x.dtype)
    inner, frame = on_all(model.mesh, (inner, frame))
    grid = scheduler.placed(Grid(inner, data, None, frame, shared=True), place, plan.rows)
    starts = np.arange(n_starts)
    sizes = plan.bucket, plan.smallest
    how: Any = dict(stride=plan.stride, place=place, rows=plan.rows, lines=plan.lines)
    return Store(grid, control, 0 * starts, starts, *sizes, at_once=plan.at_once, **how)


def host_data(x: np.ndarray, weight: Any, label: Any) -> Data:
    """`Data` of x's dtype."""
    weight = np.ones(len(x), x.dtype) if weight is None else np.asarray(weight, x.dtype)
    label = None if label is None else np.asarray(label, np.int32)
    known = None if label is None else jnp.asarray(label)
    return Data(jnp.asarray(x), jnp.asarray(weight), known)


def many_data_sets(model, data, frame, n_starts, control, plan, own, place: Place = HERE) -> Store:
    """The store of lanes with data of their own; `own` are the numbers of the data sets."""
    frame = jax.tree.map(jnp.asarray, frame)
    models, prepared = _prepare_each(model, frame, data, plan.rows)
    grid = place.whole(Grid(models, data, prepared, frame, shared=False))
    groups = np.repeat(np.arange(len(own)), n_starts)
    starts = np.tile(np.arange(n_starts), len(own))
    how: Any = dict(stride=plan.stride, place=place, rows=plan.rows, lines=plan.lines)
    sizes: Any = dict(bucket=plan.bucket, smallest=plan.smallest, tile=plan.tile)
    store = Store(grid, control, groups, starts, at_once=plan.at_once, **sizes, **how)
    return replace_sets(store, np.repeat(own, n_starts))


@partial(jitted, static_argnames="rows")
def _prepare_each(model, frame, data, rows):
    def one(frame, data):
        inner = cast(standardized_model(model, frame), data.x.dtype)
        return inner, replace(inner.prepare(data, rows), frame=frame)

    return jax.vmap(one)(frame, data)


def replace_sets(store: Store, numbers: np.ndarray) -> Store:
    """The store with the data sets' numbers among all, which decide the random keys."""
    store.sets = np.broadcast_to(numbers, store.groups.shape)
    return store
