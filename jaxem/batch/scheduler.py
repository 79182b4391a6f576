"""Many lanes at the machine's own speed: buckets, packing, refill.

Lanes wait in a store on the host; a bucket of them runs on the device in one compiled loop, which
returns as soon as repacking pays: finished lanes leave, waiting ones take their place, and when
none waits the survivors move to a smaller bucket. Lanes of one data set among many run as a tile
until few of them are left, then one by one. A lane's numbers depend on its own start and data
alone; who runs beside it changes nothing but roundings.

Several devices each run a bucket of their own in one program, in which nothing is exchanged;
whenever they meet, the lanes that live are dealt out anew, as many to each. Several processes each
advance their share of the lanes, and then tell one another where these ended.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxem.batch import lanes, packing, planning
from jaxem.batch.lanes import Grid
from jaxem.batch.state import OnLook, Store, live, put, rows
from jaxem.batch.threads import abreast, dealt
from jaxem.core.pytree import replace
from jaxem.devices import distributed
from jaxem.devices.placement import Place

#: Rows of a block that are few enough, when memory has run out.
FEWEST = 64


def placed(grid: Grid, place: Place, block: int) -> Grid:
    """The grid with blocks of so many rows, on every device of the place."""
    return place.whole(lanes.prepare(grid, block))


def begin(store: Store, params: Any) -> None:
    """Put every lane at given parameters, lane axis leading."""
    place = store.place

    def one(part, groups):
        given = place.spread(rows(params, part))
        return lanes.begin(store.grid, groups, given, store.control, mesh=place.mesh)

    store.runs = _by_bucket(store, one)


def seed(store: Store, key: jax.Array, init: Any) -> None:
    """Put every lane at its own start by the initialiser."""
    mesh = store.place.mesh

    def one(part, groups):
        how = key, store.active, init, min(store.at_once, store.bucket)
        params = lanes.seed(store.grid, groups, *_named(store, part, groups), *how, mesh=mesh)
        return lanes.begin(store.grid, groups, params, store.control, mesh=mesh)

    store.runs = _by_bucket(store, one)


def regroup(store: Store, chosen: np.ndarray, parents: np.ndarray) -> Any:
    """Runs that start where a split and a merge lead from the parents of the chosen lanes, i[lanes]
    of all lanes."""
    mesh = store.place.mesh
    # As much again as responsibilities takes what is weighed for each component.
    at_once = max(1, min(store.at_once // 2, store.bucket))

    def one(part, groups):
        begun = store.place.spread(rows(store.runs.point.params, parents[part]))
        how = begun, store.key, store.generation, at_once
        params = lanes.regroup(store.grid, groups, *_named(store, part, groups), *how, mesh=mesh)
        return lanes.begin(store.grid, groups, params, store.control, mesh=mesh)

    return _by_bucket(store, one, chosen)


def _named(store: Store, part: np.ndarray, groups: Any) -> tuple[Any, Any]:
    """The data sets' numbers among all, and the starts', which decide the random keys."""
    names = groups if store.sets is None else store.place.spread(store.sets[part])
    return names, store.place.spread(store.starts[part])


def spurious(store: Store) -> np.ndarray:
    """b[lanes, 2]: the lane stands at a spurious maximum; or near one."""
    return _by_bucket(store, partial(_look_at, lanes.spurious, store))


def conclude(store: Store, dtype: Any = None, chosen: np.ndarray | None = None) -> Any:
    """The `Fit` of the chosen lanes (None: all), NumPy leaves, lane axis leading, and their
    condition f[lanes]; as fits whose parameters are to be reported in `dtype`."""
    look = partial(_look_at, partial(lanes.conclude, dtype=dtype), store)
    return _by_bucket(store, look, chosen)


def _look_at(program: Callable, store: Store, part, groups) -> Any:
    runs = store.place.spread(rows(store.runs, part))
    return program(store.grid, groups, runs, mesh=store.place.mesh)


def advance(store: Store, chosen: np.ndarray, limit: int, on_look: OnLook | None = None) -> None:
    """Run the chosen lanes until each has ended or made `limit` iterations; of several processes,
    each its share."""
    own = store.place.share(chosen)

    def all_lines():
        tiles = packing.tiles_of(store.groups, own, store.tile)
        tiles = tiles[np.any(live(store, tiles, limit), axis=1)]
        work = partial(_advance, store, limit=limit, on_look=on_look)
        abreast(work, dealt(tiles, packing.size_of(store, store.tile), store.lines), store.gate)

    within_memory(store, all_lines)
    if store.place.shared_out:
        ended = distributed.join(chosen.size, rows(store.runs, own))
        put(store, chosen, np.arange(chosen.size), ended)
        store.stage += 1


def within_memory(store: Store, work: Callable) -> Any:
    """`work()`; again with fewer lanes and rows at once while the device's memory does not do.
    MemoryError, with the budget, when one lane is too many; RuntimeError where a process that
    runs in step with this one is gone."""
    while True:
        try:
            return work()
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            if store.place.in_step and distributed.is_loss(error):
                message = f"{distributed.LOST} ({distributed.first_line(error)})"
                raise RuntimeError(message) from error
            if isinstance(error, ValueError) or not planning.exhausted(error):
                raise
            if store.place.in_step:  # the others would not know
                model, x = store.grid.model, store.grid.data.x
                raise MemoryError(planning.too_small(x, model.n_components, error)) from error
            _shrink(store, error)


def _shrink(store: Store, error: Exception) -> None:
    model, data = store.grid.model, store.grid.data
    if store.bucket == 1 and store.rows <= FEWEST:
        raise MemoryError(planning.too_small(data.x, model.n_components, error)) from error
    store.bucket = max(1, store.bucket // packing.RATIO)
    store.smallest, store.tile = min(store.smallest, store.bucket), min(store.tile, store.bucket)
    store.rows = max(min(FEWEST, store.rows), store.rows // packing.RATIO)
    warnings.warn(
        f"out of device memory ({distributed.first_line(error)}); the fit goes on with "
        f"{store.bucket} lanes and blocks of {store.rows} rows at once. A smaller memory_limit= "
        "chooses such sizes from the start.",
        RuntimeWarning,
        stacklevel=2,
    )
    bare = replace(store.grid, prepared=None)
    store.grid, store.flight = placed(bare, store.place, store.rows), None


def _advance(store: Store, tiles: np.ndarray, limit: int, on_look: OnLook | None) -> None:
    """Run tiles while many of a tile's lanes live, then what is left of them lane by lane."""
    flight = store.flight
    if flight is None or flight[0].shape[1] == store.tile:
        packing.pack(store, tiles, limit, on_look)
    if store.tile > 1:
        packing.pack(store, tiles[tiles >= 0].reshape(-1, 1), limit, on_look)


def _by_bucket(store: Store, program: Callable, chosen: np.ndarray | None = None) -> Any:
    """`program(lanes, their groups)` over parts of one size of the chosen lanes (None: all); the
    results joined, on the host."""
    everyone = np.arange(len(store.groups)) if chosen is None else chosen
    own = store.place.share(everyone)
    # A process without lanes of its own still has to know what results look like.
    mine = own if own.size else everyone[:1]
    out = within_memory(store, lambda: _parts(store, mine, program, chosen is None))
    if not store.place.shared_out:
        return out
    return distributed.join(everyone.size, rows(out, np.arange(own.size)))


def _parts(store: Store, own: np.ndarray, program: Callable, even: bool) -> Any:
    size = store.bucket * store.place.devices
    if even and not store.grid.shared:  # other data sets are another program anyway
        size = -(-own.size // -(-own.size // size))
        size += -size % store.place.devices

    def one(i: int) -> Any:
        part = own[i : i + size]
        padded = np.concatenate([part, np.repeat(part[:1], size - part.size)])
        out = jax.device_get(program(padded, store.place.spread(store.groups[padded])))
        return jax.tree.map(lambda leaf: leaf[: part.size], out)

    line = lambda begun: [one(i) for i in begun]  # noqa: E731
    begun = dealt(np.arange(0, own.size, size), 1, store.lines)
    parts = [part for line in abreast(line, begun, store.gate) for part in line]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
