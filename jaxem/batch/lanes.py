"""Compiled programs over lanes: start, draw, propose, advance, judge, conclude.

A lane is one fit: a data set of the grid, a start. Inside one shared data set x has no lane axis,
so the E-steps of all lanes are one matrix product and x is never copied; of several data sets, a
tile is lanes that share one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jaxem.batch import planning
from jaxem.core.capabilities import provides
from jaxem.core.compiled import jitted, program
from jaxem.core.model_protocol import Caching, Compute, Rescalable
from jaxem.core.status import Status
from jaxem.core.trees import pytree, replace, static
from jaxem.devices.collectives import on_each, replicate
from jaxem.devices.placement import LANES
from jaxem.engine import steps
from jaxem.engine.finish import finish


@pytree
class Grid:
    """Data sets and the models that fit them, in standard units. `shared`: one data set for all
    lanes, no leading axis; else every leaf leads with the data sets, padded to one length."""

    model: Any
    data: Any
    prepared: Any
    scaling: Any
    shared: bool = static()
    compute: Compute = static(default=Compute())

    def of(self, groups: jax.Array) -> "Grid":
        """The rows of these data sets, one per lane; the grid as it is when shared."""
        return self if self.shared else jax.tree.map(lambda leaf: leaf[groups], self)

    def replicated(self, results: Any) -> Any:
        """Results of a program, on every device where the rows are spread over several."""
        return replicate(self.data.mesh, results)


@pytree
class LaneIds:
    """What decides the random key of each lane, and its data set in the grid."""

    groups: Any  # i[lanes], data sets in the grid
    names: Any  # i[lanes], their numbers in the call
    starts: Any  # i[lanes], numbers among the data set's starts

    def key(self, key: jax.Array) -> jax.Array:
        """The key of one lane."""
        return jax.random.fold_in(jax.random.fold_in(key, self.names), self.starts)


@pytree
class Until:
    """Where a bucket's loop ends; traced, so that no number compiles anew."""

    limit: Any  # iterations of each lane, at most
    stop_at: Any = 0  # busy tiles of a device
    stride: Any = 64  # iterations of the loop
    least: Any = 0  # a tile is busy while more than `least` of its lanes are live


def _over_lanes(grid: Grid, function: Callable, *lanes: Any) -> Any:
    """`function(grid of the lane, *lane)` for every lane; lanes lead with tiles where there are
    more of them than data sets in `grid`."""
    axes = (0,) * len(lanes)
    if grid.shared:
        return jax.vmap(function, in_axes=(None, *axes))(grid, *lanes)
    tiles, count = _length(grid), _length(lanes)
    if tiles == count:
        return jax.vmap(function)(grid, *lanes)
    lanes = _reshaped(lanes, 1, (tiles, count // tiles))
    out = jax.vmap(jax.vmap(function, in_axes=(None, *axes)))(grid, *lanes)
    return _reshaped(out, 2, (count,))


def _length(tree: Any) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


def _reshaped(tree: Any, axes: int, lead: tuple[int, ...]) -> Any:
    """The tree with the first `axes` of every leaf made `lead`."""
    return jax.tree.map(lambda leaf: leaf.reshape(lead + leaf.shape[axes:]), tree)


def _over_devices(mesh: Mesh | None, function: Callable, common: Any, lanes: Any) -> Any:
    """`function(common, lanes)`, run by every device of the mesh on its part of `lanes`, whose
    leaves lead with lanes as the results do. Nothing is exchanged, so no device waits."""
    if mesh is None:
        return function(common, lanes)
    everywhere, by_lane = PartitionSpec(), PartitionSpec(LANES)
    return on_each(mesh, function, (everywhere, by_lane), by_lane)(common, lanes)


def prepare(grid: Grid, rows: int) -> Grid:
    """The grid with its data cut into blocks of `rows` rows. MemoryError, with the budget, where
    the data alone are too much for the device."""
    try:
        prepared = _prepare(grid.model, grid.data, grid.shared, rows, grid.compute)
    except jax.errors.JaxRuntimeError as error:
        if not planning.exhausted(error):
            raise
        raise MemoryError(planning.too_small(grid.data.x, error)) from error
    return replace(grid, prepared=scaled(grid.model, prepared, grid.scaling))


def scaled(model: Any, prepared: Any, scaling: Any) -> Any:
    """What `model.prepare` returned, with the scaling of its data where the model uses one."""
    rescalable = provides(type(model), Rescalable)
    return replace(prepared, scaling=scaling) if rescalable else prepared


@partial(jitted, static_argnames=("shared", "rows", "compute"))
def _prepare(model, data, shared, rows, compute):
    def of_one(model, data):
        return model.prepare(data, rows, compute)

    return of_one(model, data) if shared else jax.vmap(of_one)(model, data)


@program(static_argnames="mesh")
def start(grid: Grid, groups, params: Any, control: steps.Control, mesh=None) -> steps.Run:
    """Runs that start at the given parameters, lane axis leading."""

    def of_lane(row, params, control):
        return steps.start(row.model, params, row.prepared, control)

    def of_lanes(common, lanes):
        (grid, control), (groups, params) = common, lanes
        return _over_lanes(grid.of(groups), partial(of_lane, control=control), params)

    common = grid, control
    return grid.replicated(_over_devices(mesh, of_lanes, common, (groups, params)))


@program(static_argnames="mesh")
def advance(
    grid: Grid, groups, control: steps.Control, until: Until, runs: steps.Run, mesh=None
) -> tuple[steps.Run, jax.Array]:
    """Step the live lanes until `until` says; and, of each device, the iterations it made and its
    tiles that are still busy i[devices, 2].

    `groups` i[tiles]: `runs` lead with the lanes of all tiles, as many each; shared data have tiles
    of one lane.
    """
    common = grid, control, until
    return grid.replicated(_over_devices(mesh, _advance, common, (groups, runs)))


def _advance(common, lanes):
    (grid, control, until), (groups, runs) = common, lanes
    rows = grid.of(groups)
    if not grid.shared and provides(type(grid.model), Caching):
        prepared = jax.vmap(lambda row: row.model.cached(row.prepared))(rows)
        rows = replace(rows, prepared=prepared)

    def of_lane(row, run):
        new = steps.step(row.model, row.prepared, control, run)
        return steps.select(is_live(run, until.limit), new, run)

    def busy(runs):
        live = is_live(runs, until.limit).reshape(groups.shape[0], -1)
        return jnp.sum(jnp.sum(live, axis=1) > until.least, dtype=jnp.int32)

    def going(carry):
        runs, count = carry
        return (busy(runs) > until.stop_at) & (count < until.stride)

    def body(carry):
        return _over_lanes(rows, of_lane, carry[0]), carry[1] + 1

    runs, count = jax.lax.while_loop(going, body, (runs, jnp.zeros((), jnp.int32)))
    return runs, jnp.stack([count, busy(runs)])[None]


def _each_run(grid: Grid, groups, runs: steps.Run, mesh: Mesh | None, of_lane: Callable) -> Any:
    """`of_lane(grid of the lane, its run)` of every lane."""

    def of_lanes(grid, lanes):
        groups, runs = lanes
        return _over_lanes(grid.of(groups), of_lane, runs)

    return grid.replicated(_over_devices(mesh, of_lanes, grid, (groups, runs)))


@program(static_argnames=("dtype", "mesh"))
def conclude(
    grid: Grid, groups: jax.Array, runs: steps.Run, control: steps.Control, dtype=None, mesh=None
) -> Any:
    """The `Fit` of each lane, in the units of the data, its likelihood that of the parameters as
    they are in `dtype` (None: that of the runs), and its condition f[lanes]."""

    def of_lane(row, run):
        return finish(row.model, row.prepared, run, row.scaling, control, False, dtype)

    return _each_run(grid, groups, runs, mesh, of_lane)


@program(static_argnames="mesh")
def spurious(grid: Grid, groups: jax.Array, runs: steps.Run, mesh=None) -> jax.Array:
    """b[lanes, 2]. Column 0: at a spurious maximum, or on the way to one; column 1: near one."""

    def of_lane(row, run):
        health = row.model.health(run.point.params, run.point.stats, row.prepared)
        return jnp.stack([jnp.asarray(health.spurious), jnp.asarray(health.near_spurious)])

    return _each_run(grid, groups, runs, mesh, of_lane)


@program(static_argnames=("init", "at_once", "mesh"))
def draw_starts(grid: Grid, ids: LaneIds, key, active, init, at_once: int, mesh=None) -> Any:
    """Starting parameters, components from `active` on switched off; (key, name of the data set,
    number of the start) alone decide them. `at_once` lanes of a device together, so that
    n × k × lanes responsibilities never exist."""

    def of_lanes(common, ids):
        grid, key, active = common

        def of_lane(lane):
            row = grid.of(lane.groups)
            drawn = row.model.start(lane.key(key), row.data, init, active)
            return steps.narrowed(drawn, row.data.x.dtype)

        return jax.lax.map(of_lane, ids, batch_size=at_once)

    return grid.replicated(_over_devices(mesh, of_lanes, (grid, key, active), ids))


@program(static_argnames=("at_once", "mesh"))
def propose(grid: Grid, ids: LaneIds, params, key, generation, at_once: int, mesh=None) -> Any:
    """Starting parameters that a split and a merge make of given ones; (key, name of the data set,
    number of the start, generation) alone decide which. `at_once` lanes together."""

    def of_lanes(common, lanes):
        grid, key, generation = common

        def of_lane(lane):
            ids, params = lane
            row = grid.of(ids.groups)
            own = jax.random.fold_in(ids.key(key), generation)
            return row.model.propose(own, params, row.data)

        return jax.lax.map(of_lane, lanes, batch_size=at_once)

    common = grid, key, generation
    return grid.replicated(_over_devices(mesh, of_lanes, common, (ids, params)))


def is_live(run: steps.Run, limit: Any) -> Any:
    """True for lanes that still have steps to make; host and device arrays alike."""
    return (run.status == Status.RUNNING) & (run.n_iter < limit)
