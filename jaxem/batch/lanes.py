"""Programs that run many lanes at once: the only file that vmaps over runs.

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
from jaxem.core.compiled import jitted, program
from jaxem.core.pytree import pytree, replace, static
from jaxem.core.status import Status
from jaxem.devices.collectives import on_each, whole
from jaxem.devices.placement import LANES
from jaxem.engine import steps
from jaxem.engine.finish import finish


@pytree
class Grid:
    """Data sets and the models that fit them, in their frames. `shared`: one data set for all
    lanes, no leading axis; else every leaf leads with the data sets, padded to one length."""

    model: Any
    data: Any
    prepared: Any
    frame: Any
    shared: bool = static()

    def of(self, groups: jax.Array) -> "Grid":
        """The rows of these data sets, one per lane; the grid as it is when shared."""
        return self if self.shared else jax.tree.map(lambda leaf: leaf[groups], self)

    def whole(self, results: Any) -> Any:
        """Results of a program, on every device where the model's rows are spread over several."""
        return whole(getattr(self.model, "mesh", None), results)


def _over_lanes(rows: Grid, function: Callable, *lanes: Any) -> Any:
    """`function(row, *lane)` for every lane; `row` is the lane's own grid, or that of its tile:
    lanes lead with tiles where there are more of them than of `rows`."""
    own = (0,) * len(lanes)
    if rows.shared:
        return jax.vmap(function, in_axes=(None, *own))(rows, *lanes)
    tiles, count = _length(rows), _length(lanes)
    if tiles == count:
        return jax.vmap(function)(rows, *lanes)
    lanes = _reshaped(lanes, 1, (tiles, count // tiles))
    out = jax.vmap(jax.vmap(function, in_axes=(None, *own)))(rows, *lanes)
    return _reshaped(out, 2, (count,))


def _length(tree: Any) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


def _reshaped(tree: Any, axes: int, lead: tuple[int, ...]) -> Any:
    """The tree with the first `axes` of every leaf made `lead`."""
    return jax.tree.map(lambda leaf: leaf.reshape(lead + leaf.shape[axes:]), tree)


def _over_devices(mesh: Mesh | None, function: Callable, own: tuple[bool, ...]) -> Callable:
    """`function`, run by every device of the mesh on its own lanes: the arguments that are `own`
    lead with lanes, as the results do. Nothing is exchanged, so no device waits for another."""
    if mesh is None:
        return function
    lanes, whole = PartitionSpec(LANES), PartitionSpec()
    specs = tuple(lanes if one else whole for one in own)
    return on_each(mesh, function, specs, lanes)


def prepare(grid: Grid, rows: int) -> Grid:
    """The grid with its data cut into blocks of so many rows. MemoryError, with the budget, where
    the data alone are too much for the device."""
    try:
        prepared = _prepare(grid.model, grid.data, grid.shared, rows)
        return replace(grid, prepared=replace(prepared, frame=grid.frame))
    except jax.errors.JaxRuntimeError as error:
        if not planning.exhausted(error):
            raise
        message = planning.too_small(grid.data.x, grid.model.n_components, error)
        raise MemoryError(message) from error


@partial(jitted, static_argnames=("shared", "rows"))
def _prepare(model, data, shared, rows):
    one = lambda model, data: model.prepare(data, rows)  # noqa: E731
    return one(model, data) if shared else jax.vmap(one)(model, data)


@program(static_argnames="mesh")
def begin(grid: Grid, groups, params: Any, control: steps.Control, mesh=None) -> steps.Run:
    """Runs that start at the given parameters."""

    def lanes(grid, groups, params, control):
        return _over_lanes(
            grid.of(groups),
            lambda row, params: steps.start(row.model, params, row.prepared, control),
            params,
        )

    spread = _over_devices(mesh, lanes, (False, True, True, False))
    return grid.whole(spread(grid, groups, params, control))


@program(static_argnames="mesh")
def advance(
    grid: Grid, groups, control: steps.Control, limit, stop_at, stride, runs, least=0, mesh=None
) -> tuple[steps.Run, jax.Array]:
    """Step the live lanes until `stop_at` or fewer tiles of a device are busy, or `stride` steps;
    and, of each device, the steps it made and its tiles that are still busy i[devices, 2].

    `groups` i[tiles]: `runs` lead with the lanes of all tiles, as many each; shared data have tiles
    of one lane. A tile is busy while more than `least` of its lanes live.
    """
    own = (False, True, False, False, False, False, True, False)
    spread = _over_devices(mesh, _advance_own, own)
    return grid.whole(spread(grid, groups, control, limit, stop_at, stride, runs, least))


def _advance_own(grid: Grid, groups, control, limit, stop_at, stride, runs, least):
    rows = grid.of(groups)
    if not grid.shared:
        prepared = jax.vmap(lambda row: row.model.keep_features(row.prepared))(rows)
        rows = replace(rows, prepared=prepared)

    def one(row, run):
        new = steps.step(row.model, row.prepared, control, run)
        return steps.select(is_live(run, limit), new, run)

    def busy(runs):
        live = is_live(runs, limit).reshape(groups.shape[0], -1)
        return jnp.sum(jnp.sum(live, axis=1) > least, dtype=jnp.int32)

    def going(carry):
        runs, count = carry
        return (busy(runs) > stop_at) & (count < stride)

    def body(carry):
        return _over_lanes(rows, one, carry[0]), carry[1] + 1

    runs, count = jax.lax.while_loop(going, body, (runs, jnp.zeros((), jnp.int32)))
    return runs, jnp.stack([count, busy(runs)])[None]


@program(static_argnames=("dtype", "mesh"))
def conclude(grid: Grid, groups: jax.Array, runs: steps.Run, dtype=None, mesh=None) -> Any:
    """The `Fit` of each lane, in the units of the data, its likelihood that of the parameters as
    they are in `dtype` (None: that of the runs), and how many roundings its logits can lose."""

    def one(row, run):
        done = finish(row.model, row.prepared, run, row.frame, exact=False, dtype=dtype)
        return done, row.model.condition(run.point.params)

    lanes = lambda grid, groups, runs: _over_lanes(grid.of(groups), one, runs)  # noqa: E731
    return grid.whole(_over_devices(mesh, lanes, (False, True, True))(grid, groups, runs))


@program(static_argnames="mesh")
def spurious(grid: Grid, groups: jax.Array, runs: steps.Run, mesh=None) -> jax.Array:
    """b[lanes, 2]: where a lane stands is, or leads to, a spurious maximum; or is near one."""

    def one(row, run):
        where = run.point.params, run.point.stats, row.prepared
        return jnp.stack([row.model.degenerate(*where, strict=strict) for strict in (False, True)])

    lanes = lambda grid, groups, runs: _over_lanes(grid.of(groups), one, runs)  # noqa: E731
    return grid.whole(_over_devices(mesh, lanes, (False, True, True))(grid, groups, runs))


@program(static_argnames=("init", "at_once", "mesh"))
def seed(grid: Grid, groups, names, starts, key, active, init, at_once: int, mesh=None) -> Any:
    """Starting parameters, components from `active` on switched off: (key, name of the data set,
    number of the start) alone decide them. `at_once` lanes of a device together, so that
    n × k × lanes responsibilities never exist."""

    def lanes(grid, groups, names, starts, key, active):
        def one(lane):
            group, name, start = lane
            row = grid.of(group)
            own = jax.random.fold_in(jax.random.fold_in(key, name), start)
            return row.model.init_within(own, row.data, init, active)

        return jax.lax.map(one, (groups, names, starts), batch_size=at_once)

    spread = _over_devices(mesh, lanes, (False, True, True, True, False, False))
    return grid.whole(spread(grid, groups, names, starts, key, active))


@program(static_argnames=("at_once", "mesh"))
def regroup(
    grid: Grid, groups, names, starts, params, key, generation, at_once: int, mesh=None
) -> Any:
    """Starting parameters of children, those of their parents given: (key, name of the data set,
    number of the start, generation) alone decide how they differ. `at_once` lanes together."""

    def lanes(grid, groups, names, starts, params, key, generation):
        def one(lane):
            group, name, start, params = lane
            row = grid.of(group)
            own = jax.random.fold_in(jax.random.fold_in(key, name), start)
            own = jax.random.fold_in(own, generation)
            return row.model.regroup(own, params, row.data.x, row.data.weight)

        return jax.lax.map(one, (groups, names, starts, params), batch_size=at_once)

    spread = _over_devices(mesh, lanes, (False, True, True, True, True, False, False))
    return grid.whole(spread(grid, groups, names, starts, params, key, generation))


def is_live(run: steps.Run, limit: Any) -> Any:
    """True for lanes that still have steps to make; host and device arrays alike."""
    return (run.status == Status.RUNNING) & (run.n_iter < limit)
