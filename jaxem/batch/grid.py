"""`Grid`: the data sets of a call, prepared for their lanes.

Data sets are one table that all lanes share, or several padded to one length, or several that share
the rows of one table and differ in their weights alone, such as bootstrap samples.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import numpy as np

from jaxem.batch import planning
from jaxem.core.capabilities import provides
from jaxem.core.compiled import jitted
from jaxem.core.model_protocol import Compute, Model, Rescalable
from jaxem.core.trees import pytree, replace, static
from jaxem.core.types import Array, PreparedData, PyTree
from jaxem.data.data import Data
from jaxem.data.scaling import Scaling
from jaxem.devices.collectives import replicate

T = TypeVar("T")


@pytree
class Grid:
    """Data sets and the models that fit them, in standard units.

    Where `shared`, all lanes share the rows of x. Leaves then have no axis of data sets, but for
    the weights and what depends on them where data sets differ in their weights alone. Where not
    `shared`, the data sets are padded to one length, and are the leading axis of every leaf.
    """

    model: Model
    data: Data
    prepared: PreparedData
    scaling: Scaling
    shared: bool = static()
    compute: Compute = static(default=Compute())
    brief: bool = static(default=False)  # so small that compiling takes longer than running
    own: tuple[bool, ...] = static(default=())  # leaves with an axis of data sets, if only some

    def _flagged(self) -> list[tuple[Array, bool]]:
        """Every leaf, and whether it has an axis of data sets."""
        leaves = jax.tree.leaves(self)
        return list(zip(leaves, self.own or (not self.shared,) * len(leaves), strict=True))

    def axes(self) -> "Grid":
        """The axis of data sets of every leaf: 0, or None where it has none."""
        axes = [0 if own else None for _, own in self._flagged()]
        return jax.tree.unflatten(jax.tree.structure(self), axes)

    def of(self, groups: jax.Array) -> "Grid":
        """The grid with the data sets `groups` i[lanes] in place of all data sets, one per lane."""
        chosen = [leaf[groups] if own else leaf for leaf, own in self._flagged()]
        return jax.tree.unflatten(jax.tree.structure(self), chosen)

    def weights(self, groups: np.ndarray) -> np.ndarray:
        """The total weight f[lanes] of the data sets `groups` i[lanes], on the host."""
        total = np.asarray(self.prepared.weight, float)
        return total[groups] if total.ndim else np.broadcast_to(total, groups.shape)

    def replicated(self, results: T) -> T:
        """Results of a program, on every device where the rows are spread over several."""
        return replicate(self.data.mesh, results)


def prepare(grid: Grid, rows: int) -> Grid:
    """The grid with its data cut into blocks of `rows` rows. MemoryError, which says how much
    memory there is, where the data alone are too much for the device."""
    try:
        prepared, own = _prepared(grid, rows)
    except jax.errors.JaxRuntimeError as error:
        if not planning.exhausted(error):
            raise
        raise MemoryError(planning.too_small(grid.data.x, error)) from error
    grid = replace(grid, prepared=with_scaling(grid.model, prepared, grid.scaling), own=())
    if own is None:
        return grid
    flags = jax.tree.map(lambda leaf: False, grid)
    data, kept = replace(flags.data, weight=True), with_scaling(grid.model, own, flags.scaling)
    return replace(grid, own=tuple(jax.tree.leaves(replace(flags, data=data, prepared=kept))))


def _prepared(grid: Grid, rows: int) -> tuple[PreparedData, PyTree | None]:
    """Prepared data; and, where data sets share their rows and differ in their weights, whether
    each leaf depends on the weights."""
    model, data, compute = grid.model, grid.data, grid.compute
    if not grid.shared or data.weight.ndim == 1:
        return _prepare(model, data, grid.shared, rows, compute), None
    return _prepare_weights(model, data, rows, compute), _by_weight(model, data, rows, compute)


def with_scaling(model: Model, prepared: PreparedData, scaling: Scaling | None) -> PreparedData:
    """Prepared data with the scaling of the data set in them, where the model is `Rescalable`."""
    rescalable = provides(type(model), Rescalable)
    return replace(prepared, scaling=scaling) if rescalable else prepared


@partial(jitted, static_argnames=("shared", "rows", "compute"))
def _prepare(model, data, shared, rows, compute):
    def of_one(model, data):
        return model.prepare(data, rows, compute)

    return of_one(model, data) if shared else jax.vmap(of_one)(model, data)


@partial(jitted, static_argnames=("rows", "compute"))
def _prepare_weights(model, data, rows, compute):
    axes = jax.tree.map(lambda own: 0 if own else None, _by_weight(model, data, rows, compute))
    of_weight = _of_weight(model, data, rows, compute)
    return jax.vmap(of_weight, out_axes=axes)(data.weight)


def _by_weight(model: Model, data: Data, rows: int, compute: Compute) -> PyTree:
    """Whether each leaf of the prepared data depends on the weights f[s, n], found by tracing:
    `vmap` tells the rule of a `custom_vmap` which leaves have its axis."""
    of_weight, seen = _of_weight(model, data, rows, compute), []

    @jax.custom_batching.custom_vmap
    def look(prepared):
        return prepared

    @look.def_vmap
    def _(size, in_batched, prepared):
        seen.append(in_batched[0])
        return prepared, in_batched[0]

    jax.eval_shape(jax.vmap(lambda weight: look(of_weight(weight))), data.weight)
    return seen[-1]


def _of_weight(model: Model, data: Data, rows: int, compute: Compute) -> Callable:
    return lambda weight: model.prepare(replace(data, weight=weight), rows, compute)
