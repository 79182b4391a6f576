"""Compiled programs over lanes: start, draw, propose, advance, judge, conclude.

A lane is one fit: one start on one data set of the grid. Where all lanes share the rows of x, x has
no lane axis, so the E-steps of all lanes are one matrix product and x is never copied. With several
data sets that have rows of their own, a tile is the lanes in a bucket that share a data set.
"""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jaxem.batch.grid import Grid
from jaxem.core.capabilities import provides
from jaxem.core.compiled import LEVEL, ONE_THREAD, program
from jaxem.core.model_protocol import Caching
from jaxem.core.status import Status
from jaxem.core.trees import pytree, replace, static
from jaxem.core.types import Array, Init, Params, PyTree, Size
from jaxem.devices.collectives import on_each
from jaxem.devices.placement import LANES
from jaxem.engine import steps
from jaxem.engine.finish import finish
from jaxem.results.fit import Fit

T = TypeVar("T")


@pytree
class LaneIds:
    """The numbers that decide the random key of each lane, and its data set in the grid."""

    groups: Array  # i[lanes], the data set's number in the grid
    numbers: Array  # i[lanes], the data set's number in the call
    starts: Array  # i[lanes], the lane's number among the data set's starts

    def key(self, key: jax.Array) -> jax.Array:
        """The key of one lane, from the `key` of the call."""
        return jax.random.fold_in(jax.random.fold_in(key, self.numbers), self.starts)


@pytree
class Until:
    """When the compiled loop over a bucket returns. All numbers are traced, so that a new one does
    not compile a new program."""

    limit: int | jax.Array  # iterations of each lane, at most
    stop_at: int | jax.Array = 0  # the loop returns at this number of busy tiles or fewer
    stride: int | jax.Array = 64  # iterations of the loop, at most
    least: int | jax.Array = 0  # a tile is busy while more than `least` of its lanes are live


def _over_lanes(grid: Grid, function: Callable, *lanes: PyTree) -> PyTree:
    """`function(grid of the lane, *lane)` for every lane. `grid` is shared, or has one data set for
    every lane, or one for every tile of neighbouring lanes."""
    each = (0,) * len(lanes)
    if grid.shared or _length(grid) == _length(lanes):
        return jax.vmap(function, in_axes=(grid.axes(), *each))(grid, *lanes)
    tiles, count = _length(grid), _length(lanes)
    lanes = _reshaped(lanes, 1, (tiles, count // tiles))
    out = jax.vmap(jax.vmap(function, in_axes=(None, *each)))(grid, *lanes)
    return _reshaped(out, 2, (count,))


def _length(tree: PyTree) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


def _reshaped(tree: T, axes: int, lead: tuple[int, ...]) -> T:
    """The tree with the first `axes` of every leaf made `lead`."""
    return jax.tree.map(lambda leaf: leaf.reshape(lead + leaf.shape[axes:]), tree)


def _over_devices(mesh: Mesh | None, function: Callable, common: PyTree, lanes: PyTree) -> PyTree:
    """`function(common, lanes)`, run by every device of the mesh on its own lanes: the leading axis
    of `lanes` and of the results. Nothing is exchanged, so no device waits for another."""
    if mesh is None:
        return function(common, lanes)
    everywhere, by_lane = PartitionSpec(), PartitionSpec(LANES)
    return on_each(mesh, function, (everywhere, by_lane), by_lane)(common, lanes)


@program({LEVEL: 0, **ONE_THREAD}, static_argnames="mesh")
def start(grid: Grid, groups, params: Params, control: steps.Control, mesh=None) -> steps.Run:
    """Runs that start at the given parameters f[lanes, ...]."""

    def of_lanes(common, lanes):
        (grid, control), (groups, params) = common, lanes
        return _begun(grid, groups, params, control)

    common = grid, control
    return grid.replicated(_over_devices(mesh, of_lanes, common, (groups, params)))


def _begun(grid: Grid, groups, params: Params, control: steps.Control) -> steps.Run:
    def of_lane(row, params):
        return steps.start(row.model, params, row.prepared, control)

    return _over_lanes(grid.of(groups), of_lane, params)


@program({LEVEL: 1}, static_argnames="mesh")
def advance(
    grid: Grid, groups, control: steps.Control, until: Until, runs: steps.Run, mesh=None
) -> tuple[steps.Run, jax.Array]:
    """The runs after steps of the live lanes until `until` is met; and i[devices, 2], for each
    device the number of iterations and the number of tiles that are still busy.

    `groups` i[tiles] are the data sets of the tiles. The leading axis of `runs` is all lanes, tile
    after tile, every tile with the same number of lanes (one where the data are shared).
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


def _each_run(grid: Grid, groups, runs: steps.Run, mesh: Mesh | None, of_lane: Callable) -> PyTree:
    """`of_lane(grid of the lane, its run)` of every lane."""

    def of_lanes(grid, lanes):
        groups, runs = lanes
        return _over_lanes(grid.of(groups), of_lane, runs)

    return grid.replicated(_over_devices(mesh, of_lanes, grid, (groups, runs)))


@program({LEVEL: 0, **ONE_THREAD}, static_argnames=("dtype", "mesh"))
def conclude(
    grid: Grid, groups: jax.Array, runs: steps.Run, control: steps.Control, dtype=None, mesh=None
) -> tuple[Fit, jax.Array]:
    """The `Fit` of each lane in the units of the data, and its condition f[lanes]. The likelihood
    is that of the parameters rounded to `dtype` (None: that of the runs)."""

    def of_lane(row, run):
        return finish(row.model, row.prepared, run, row.scaling, control, False, dtype)

    return _each_run(grid, groups, runs, mesh, of_lane)


@program({LEVEL: 0, **ONE_THREAD}, static_argnames="mesh")
def spurious(grid: Grid, groups: jax.Array, runs: steps.Run, mesh=None) -> jax.Array:
    """b[lanes, 2]. Column 0: at a spurious maximum, or on the way to one; column 1: near one."""

    def of_lane(row, run):
        health = row.model.health(run.point.params, run.point.stats, row.prepared)
        return jnp.stack([jnp.asarray(health.spurious), jnp.asarray(health.near_spurious)])

    return _each_run(grid, groups, runs, mesh, of_lane)


@pytree
class Draw:
    """How starts are drawn."""

    key: jax.Array  # of the call
    active: Size | None = None  # number of latent values that are on; None for all
    init: Init = static(default="k-means++")
    at_once: int = static(default=1)  # lanes that a device draws together: bounds its memory
    generation: int | jax.Array = 0  # of split and merge


@program({LEVEL: 1, **ONE_THREAD}, static_argnames="mesh")
def draw_starts(
    grid: Grid, ids: LaneIds, draw: Draw, control: steps.Control, mesh=None
) -> steps.Run:
    """Runs from starts that depend on the key, the number of the data set and the number of the
    start alone."""

    def of_lanes(common, ids):
        grid, draw, control = common

        def of_lane(lane):
            row = grid.of(lane.groups)
            drawn = row.model.start(lane.key(draw.key), row.data, draw.init, draw.active)
            return steps.narrowed(drawn, row.data.x.dtype)

        params = jax.lax.map(of_lane, ids, batch_size=draw.at_once)
        return _begun(grid, ids.groups, params, control)

    return grid.replicated(_over_devices(mesh, of_lanes, (grid, draw, control), ids))


@program({LEVEL: 1, **ONE_THREAD}, static_argnames="mesh")
def propose(
    grid: Grid, ids: LaneIds, params, draw: Draw, control: steps.Control, mesh=None
) -> steps.Run:
    """Runs from a split and a merge of `params`. The key, the number of the data set, the number of
    the start and the generation decide which components."""

    def of_lanes(common, lanes):
        grid, draw, control = common

        def of_lane(lane):
            ids, params = lane
            row = grid.of(ids.groups)
            lane_key = jax.random.fold_in(ids.key(draw.key), draw.generation)
            return row.model.propose(lane_key, params, row.data)

        params = jax.lax.map(of_lane, lanes, batch_size=draw.at_once)
        return _begun(grid, lanes[0].groups, params, control)

    common = grid, draw, control
    return grid.replicated(_over_devices(mesh, of_lanes, common, (ids, params)))


def is_live(run: steps.Run, limit: int | jax.Array) -> jax.Array:
    """True for lanes that still have steps to make."""
    return (run.status == Status.RUNNING) & (run.n_iter < limit)
