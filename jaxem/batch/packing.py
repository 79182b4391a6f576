"""Which lanes run side by side: tiles of lanes that share their data, packed into buckets.

Where every data set has lanes of its own, those of one data set are a tile: its rows and features
are in memory once, and the products of its lanes are one product. An empty slot is −1. Else every
lane is a tile of its own.
"""

from typing import Any

import numpy as np

from jaxem.batch import lanes
from jaxem.batch.state import OnLook, Store, live, put, rows
from jaxem.core.status import Status

#: One bucket size is this many times the next: fewer compilations against tighter packing.
RATIO = 4

#: A full bucket is packed anew when one in so many of its tiles has ended: sooner where that is
#: cheap, because the lanes share their data.
SHARED, SEPARATE = 8, 3

#: Several devices meet after so many steps at most: none is long without lanes while others work.
TOGETHER = 4


def tiles_of(groups: np.ndarray, chosen: np.ndarray, width: int) -> np.ndarray:
    """The chosen lanes i[c] in tiles i[t, width] of one data set each, in their order; `groups`
    i[lanes] is the data set of every lane."""
    if width == 1 or chosen.size == 0:
        return chosen.reshape(-1, width)
    order = chosen[np.argsort(groups[chosen], kind="stable")]
    own = groups[order]
    begun = np.flatnonzero(np.diff(own, prepend=own[0] - 1))
    within = np.arange(own.size) - np.repeat(begun, np.diff(begun, append=own.size))
    slot = within % width
    number = np.cumsum(slot == 0) - 1
    tiles = np.full((number[-1] + 1, width), -1)
    tiles[number, slot] = order
    return tiles


def placed(tiles: np.ndarray, size: int, devices: int) -> tuple[np.ndarray, np.ndarray]:
    """The tiles dealt to devices in turn, each filled up to `size`: lanes i[devices · size, width],
    where any lane of the same data set stands for an empty slot, and which are taken b[...]."""
    number = np.arange(len(tiles))
    bucket = np.full((devices * size, tiles.shape[1]), -1)
    bucket[number % devices * size + number // devices] = tiles
    taken = bucket >= 0
    first = np.where(taken[:, :1], bucket[:, :1], tiles[0, 0])
    return np.where(taken, bucket, first), taken


def pack(store: Store, tiles: np.ndarray, limit: int, on_look: OnLook | None) -> None:
    """Run the tiles i[t, width], refilling the bucket and making it smaller, until few lanes of
    each live."""
    width, devices = tiles.shape[1], store.place.devices
    size, least = size_of(store, width), _least(store, width)
    smallest = size if width > 1 else store.smallest
    busy = lambda tiles: tiles[live(store, tiles, limit).sum(axis=1) > least]  # noqa: E731
    flying, waiting = tiles[:0], busy(tiles)
    if store.flight is None:
        # Full buckets of a smaller size beat a large one that is a quarter empty.
        while len(waiting) < 0.75 * size * devices and size // RATIO >= smallest:
            size //= RATIO
    else:
        # Exactly the bucket that a checkpoint was taken in, ended lanes and all.
        (flying, size), store.flight = store.flight, None
        waiting = waiting[~np.isin(waiting[:, 0], flying[:, 0])]
        _run_bucket(store, flying, size, limit, bool(len(waiting)), on_look)
    while not store.gate.halted.is_set():
        flying = busy(flying)
        free = size * devices - len(flying)
        flying, waiting = np.concatenate([flying, waiting[:free]]), waiting[free:]
        if len(flying) <= _enough(store, width, size):
            return
        while size // RATIO >= max(-(-len(flying) // devices), smallest):
            size //= RATIO
        _run_bucket(store, flying, size, limit, bool(len(waiting)), on_look)


def size_of(store: Store, width: int) -> int:
    """Tiles of a full bucket. What is left of larger tiles runs in the smallest, which saves a
    program."""
    return -(-store.bucket // width) if width == store.tile else store.smallest


def _least(store: Store, width: int) -> int:
    """Lanes of a tile that are quicker one by one. Calls too short for a second program run tiles
    to the end."""
    if width == 1 or store.smallest == store.bucket:
        return 0
    return max(1, 2 * width // 5)


def _enough(store: Store, width: int, size: int) -> int:
    """Busy tiles that are no reason to run the last bucket on: lanes one by one are quicker than a
    bucket of tiles that is half empty."""
    return size * store.place.devices // 2 if _least(store, width) else 0


def _run_bucket(store, tiles, size, limit, refill, on_look) -> None:
    """Run a bucket on each device until repacking pays; lanes come back to the store."""
    place, devices, width = store.place, store.place.devices, tiles.shape[1]
    least = _least(store, width)
    stop_at = _enough(store, width, size)
    if refill:
        stop_at = len(tiles) - max(1, size * devices // (SHARED if store.grid.shared else SEPARATE))
    elif width == 1 and size // RATIO >= store.smallest:
        stop_at = size // RATIO * devices
    if np.sum(live(store, tiles, limit).sum(axis=1) > least) <= stop_at:
        return  # a checkpoint was taken where this bucket ended
    lanes_of, taken = placed(tiles, size, devices)
    runs = rows(store.runs, lanes_of.ravel())
    runs.status[~taken.ravel()] = Status.PRUNED  # padding: never stepped
    # One device stops by itself; several go on with what they have until they meet.
    own_stop, stride = (stop_at, store.stride) if devices == 1 else (0, min(store.stride, TOGETHER))
    groups = place.spread(store.groups[lanes_of[:, 0]])
    fixed = store.grid, groups, store.control, limit, own_stop, stride
    step = lambda runs: lanes.advance(*fixed, runs, least, place.mesh)  # noqa: E731
    runs, tally = step(place.spread(runs))
    ids, at = lanes_of[taken], np.flatnonzero(taken)
    while True:
        # Dispatched before the last one's tally is read; nothing left to do costs nothing.
        ahead = step(runs)
        count, busy = np.sum(np.asarray(tally), axis=0)
        _count(store, int(count) * size * width)
        if busy <= stop_at or store.gate.halted.is_set():
            break
        _look(store, (tiles, size), (ids, at, runs), on_look)
        runs, tally = ahead
    if devices > 1:
        runs, tally = ahead
        _count(store, int(np.sum(np.asarray(tally)[:, 0])) * size * width)
    put(store, ids, at, runs)
    _look(store, (tiles, size), (ids, at, runs), on_look)
    store.flight = None


def _count(store: Store, steps: int) -> None:
    with store.gate.lock:
        store.executed += steps


def _look(store: Store, flight: tuple, back: tuple[Any, Any, Any], on_look: OnLook | None) -> None:
    """Show the store to the watcher, the lanes in flight written back. Only with one line is it
    known what was in flight."""
    if on_look is None:
        return
    with store.gate.lock:
        put(store, *back)
        store.flight = flight if store.lines == 1 else None
        on_look(store)
