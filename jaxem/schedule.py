"""Many lanes at the machine's own speed: buckets, packing, refill.

Lanes wait in a store on the host; a bucket of them runs on the device in one compiled loop, which
returns as soon as repacking pays: finished lanes leave, waiting ones take their place, and when
none waits the survivors move to a smaller bucket. A lane's numbers depend on its own start and
data alone; who runs beside it changes nothing.

Several devices each run a bucket of their own in one program, in which nothing is exchanged;
whenever they meet, the lanes that live are dealt out anew, as many to each. Several processes each
advance their share of the lanes, and then tell one another where these ended.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxem import budget, distributed, lanes
from jaxem.abreast import Gate, abreast, dealt
from jaxem.engine import Control
from jaxem.lanes import Grid, is_live
from jaxem.place import HERE, Place
from jaxem.pytree import replace
from jaxem.status import Status

#: One bucket size is this many times the next: fewer compilations against tighter packing.
RATIO = 4

#: Several devices meet after so many steps at most: none is long without lanes while others work.
TOGETHER = 4

#: Rows of a block that are few enough, when memory has run out.
FEWEST = 64


@dataclass
class Store:
    """All lanes of a call. `runs` is changed in place as lanes come back from the device."""

    grid: Grid
    control: Control
    groups: np.ndarray  # i[lanes], the data set of each
    starts: np.ndarray  # i[lanes], its number among the data set's restarts
    bucket: int  # lanes on a device at once, at most
    smallest: int  # below, a smaller bucket would not be faster
    active: int | None = None  # components that are on, of those computed; None for all
    stride: int = 64  # iterations between two looks of the host, when nothing else interrupts
    sets: np.ndarray | None = None  # i[lanes], the data sets' numbers among all, for the keys
    runs: Any = None  # engine.Run, NumPy leaves f[lanes, ...]
    executed: int = 0
    flight: tuple[np.ndarray, int] | None = None  # the bucket a checkpoint was taken in, its size
    rung: int = 0  # rungs of the race behind us
    alive: np.ndarray | None = None  # i[...], lanes that the race has not left behind
    follows: np.ndarray | None = None  # i[lanes], whose path a pruned lane had joined, or -1
    place: Place = HERE
    rows: int = 0  # rows of a block
    stage: int = 0  # how often the processes have told one another of their lanes
    lines: int = 1  # buckets in work at once on a device
    gate: Gate = field(default_factory=Gate)


#: Called between looks with the store, lanes in flight written back.
OnLook = Callable[[Store], None]


def placed(grid: Grid, place: Place, rows: int) -> Grid:
    """The grid with blocks of so many rows, on every device of the place."""
    return place.whole(lanes.prepare(grid, rows))


def begin(store: Store, params: Any) -> None:
    """Put every lane at given parameters, lane axis leading."""
    place = store.place

    def one(part, groups):
        given = place.spread(_rows(params, part))
        return lanes.begin(store.grid, groups, given, store.control, mesh=place.mesh)

    store.runs = _by_bucket(store, one)


def seed(store: Store, key: jax.Array, init: Any, at_once: int) -> None:
    """Put every lane at its own start by the initialiser."""
    mesh = store.place.mesh

    def one(part, groups):
        names = groups if store.sets is None else store.place.spread(store.sets[part])
        starts = store.place.spread(store.starts[part])
        how = key, store.active, init, min(at_once, store.bucket)
        params = lanes.seed(store.grid, groups, names, starts, *how, mesh=mesh)
        return lanes.begin(store.grid, groups, params, store.control, mesh=mesh)

    store.runs = _by_bucket(store, one)


def spurious(store: Store) -> np.ndarray:
    """b[lanes]: the lane stands at a spurious maximum."""
    return _by_bucket(store, partial(_look_at, lanes.spurious, store))


def conclude(store: Store) -> Any:
    """The `Fit` of all lanes, NumPy leaves, lane axis leading, and their condition f[lanes]."""
    return _by_bucket(store, partial(_look_at, lanes.conclude, store))


def _look_at(program: Callable, store: Store, part, groups) -> Any:
    runs = store.place.spread(_rows(store.runs, part))
    return program(store.grid, groups, runs, mesh=store.place.mesh)


def advance(store: Store, chosen: np.ndarray, limit: int, on_look: OnLook | None = None) -> None:
    """Run the chosen lanes until each has ended or made `limit` iterations; of several processes,
    each its share."""
    own = store.place.share(chosen)

    def all_lines():
        live = own[is_live(_rows(store.runs, own), limit)]
        work = partial(_advance, store, limit=limit, on_look=on_look)
        abreast(work, dealt(live, store.bucket, store.lines), store.gate)

    within_memory(store, all_lines)
    if store.place.shared_out:
        ended = distributed.join(chosen.size, _rows(store.runs, own))
        _put(store, chosen, ended, np.arange(chosen.size))
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
            if isinstance(error, ValueError) or not budget.exhausted(error):
                raise
            if store.place.in_step:  # the others would not know
                model, x = store.grid.model, store.grid.data.x
                raise MemoryError(budget.too_small(x, model.n_components, error)) from error
            _shrink(store, error)


def _shrink(store: Store, error: Exception) -> None:
    model, data = store.grid.model, store.grid.data
    if store.bucket == 1 and store.rows <= FEWEST:
        raise MemoryError(budget.too_small(data.x, model.n_components, error)) from error
    store.bucket = max(1, store.bucket // RATIO)
    store.smallest = min(store.smallest, store.bucket)
    store.rows = max(min(FEWEST, store.rows), store.rows // RATIO)
    warnings.warn(
        f"out of device memory ({distributed.first_line(error)}); the fit goes on with "
        f"{store.bucket} lanes and blocks of {store.rows} rows at once. A smaller memory_limit= "
        "chooses such sizes from the start.",
        RuntimeWarning,
        stacklevel=2,
    )
    bare = replace(store.grid, prepared=None)
    store.grid, store.flight = placed(bare, store.place, store.rows), None


def _advance(store: Store, chosen: np.ndarray, limit: int, on_look: OnLook | None) -> None:
    size, ids, devices = store.bucket, np.zeros(0, int), store.place.devices
    chosen = chosen[is_live(_rows(store.runs, chosen), limit)]
    if store.flight is None:
        waiting = chosen
        # Full buckets of a smaller size beat a large one that is a quarter empty.
        while chosen.size < 0.75 * size * devices and size // RATIO >= store.smallest:
            size //= RATIO
    else:
        # Exactly the bucket that a checkpoint was taken in, ended lanes and all.
        (ids, size), store.flight = store.flight, None
        waiting = chosen[~np.isin(chosen, ids)]
        _run_bucket(store, ids, size, limit, bool(waiting.size), on_look)
    while not store.gate.halted.is_set():
        ids = ids[is_live(_rows(store.runs, ids), limit)]
        free = size * devices - ids.size
        ids, waiting = np.concatenate([ids, waiting[:free]]), waiting[free:]
        if ids.size == 0:
            return
        while size // RATIO >= max(-(-ids.size // devices), store.smallest):
            size //= RATIO
        _run_bucket(store, ids, size, limit, bool(waiting.size), on_look)


def _run_bucket(store, ids, size, limit, refill, on_look) -> None:
    """Run a bucket on each device until repacking pays; lanes come back to the store."""
    place, devices = store.place, store.place.devices
    next_size = size // RATIO if size // RATIO >= store.smallest else 0
    stop_at = ids.size - max(1, size * devices // 8) if refill else next_size * devices
    padded, at = _dealt(ids, size, devices)
    runs = _rows(store.runs, padded)
    runs.status[np.setdiff1d(np.arange(padded.size), at)] = Status.PRUNED  # padding: never stepped
    if np.sum(is_live(runs, limit)) <= stop_at:
        return  # a checkpoint was taken where this bucket ended
    # One device stops by itself; several go on with what they have until they meet.
    own_stop, stride = (stop_at, store.stride) if devices == 1 else (0, min(store.stride, TOGETHER))
    fixed = store.grid, place.spread(store.groups[padded]), store.control, limit, own_stop, stride
    step = lambda runs: lanes.advance(*fixed, runs, place.mesh)  # noqa: E731
    runs, tally = step(place.spread(runs))
    while True:
        # Dispatched before the last one's tally is read; nothing left to do costs nothing.
        ahead = step(runs)
        count, live = np.sum(np.asarray(tally), axis=0)
        _count(store, int(count) * size)
        if live <= stop_at or store.gate.halted.is_set():
            break
        _look(store, ids, size, runs, at, on_look)
        runs, tally = ahead
    if devices > 1:
        runs, tally = ahead
        _count(store, int(np.sum(np.asarray(tally)[:, 0])) * size)
    _put(store, ids, runs, at)
    _look(store, ids, size, runs, at, on_look)
    store.flight = None


def _count(store: Store, steps: int) -> None:
    with store.gate.lock:
        store.executed += steps


def _look(store: Store, ids, size: int, runs, at, on_look: OnLook | None) -> None:
    """Show the store to the watcher, the lanes in flight written back. Only with one line is it
    known what was in flight."""
    if on_look is None:
        return
    with store.gate.lock:
        _put(store, ids, runs, at)
        store.flight = (ids, size) if store.lines == 1 else None
        on_look(store)


def _dealt(ids: np.ndarray, size: int, devices: int) -> tuple[np.ndarray, np.ndarray]:
    """Lanes for every device in turn, filled up with the first lane to `size` each; and where the
    lanes are."""
    number = np.arange(ids.size)
    at = number % devices * size + number // devices
    padded = np.full(devices * size, ids[0])
    padded[at] = ids
    return padded, at


def _by_bucket(store: Store, program: Callable) -> Any:
    """`program(lanes, their groups)` over parts of one size; the results joined, on the host."""
    everyone = np.arange(len(store.groups))
    own = store.place.share(everyone)
    # A process without lanes of its own still has to know what results look like.
    mine = own if own.size else everyone[:1]
    out = within_memory(store, lambda: _parts(store, mine, program))
    if not store.place.shared_out:
        return out
    return distributed.join(everyone.size, _rows(out, np.arange(own.size)))


def _parts(store: Store, own: np.ndarray, program: Callable) -> Any:
    size = store.bucket * store.place.devices

    def one(i: int) -> Any:
        part = own[i : i + size]
        padded = np.concatenate([part, np.repeat(part[:1], size - part.size)])
        out = jax.device_get(program(padded, store.place.spread(store.groups[padded])))
        return jax.tree.map(lambda leaf: leaf[: part.size], out)

    first, *others = range(0, own.size, size)
    parts = [one(first)]  # which compiles the program, if it is new
    if others:
        line = lambda begun: [one(i) for i in begun]  # noqa: E731
        lines = abreast(line, dealt(np.array(others), 1, store.lines), store.gate)
        parts += [part for line in lines for part in line]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _rows(tree: Any, part: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[part], tree)


def _put(store: Store, ids: np.ndarray, runs: Any, at: np.ndarray) -> None:
    def put(kept, leaf):
        kept[ids] = leaf[at]

    jax.tree.map(put, store.runs, jax.device_get(runs))
