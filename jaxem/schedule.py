"""Many lanes at the machine's own speed: buckets, packing, refill.

Lanes wait in a store on the host; a bucket of them runs on the device in one compiled loop, which
returns as soon as repacking pays: finished lanes leave, waiting ones take their place, and when
none waits the survivors move to a smaller bucket. A lane's numbers depend on its own start and
data alone; who runs beside it changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxem import lanes
from jaxem.engine import Control
from jaxem.lanes import Grid, is_live
from jaxem.status import Status

#: One bucket size is this many times the next: fewer compilations against tighter packing.
RATIO = 4


@dataclass
class Store:
    """All lanes of a call. `runs` is changed in place as lanes come back from the device."""

    grid: Grid
    control: Control
    groups: np.ndarray  # i[lanes], the data set of each
    starts: np.ndarray  # i[lanes], its number among the data set's restarts
    bucket: int  # lanes on the device at once, at most
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


#: Called between looks with the store, lanes in flight written back.
OnLook = Callable[[Store], None]


def begin(store: Store, params: Any) -> None:
    """Put every lane at given parameters, lane axis leading."""
    store.runs = _by_bucket(
        store,
        lambda part, groups: lanes.begin(store.grid, groups, _rows(params, part), store.control),
    )


def seed(store: Store, key: jax.Array, init: Any, at_once: int) -> None:
    """Put every lane at its own start by the initialiser."""

    def one(part, groups):
        names = groups if store.sets is None else store.sets[part]
        own = lanes.keys(key, names, store.starts[part])
        params = lanes.seed(store.grid, groups, own, store.active, init, at_once)
        return lanes.begin(store.grid, groups, params, store.control)

    store.runs = _by_bucket(store, one)


def spurious(store: Store) -> np.ndarray:
    """b[lanes]: the lane stands at a spurious maximum."""
    return _by_bucket(
        store, lambda part, groups: lanes.spurious(store.grid, groups, _rows(store.runs, part))
    )


def conclude(store: Store) -> Any:
    """The `Fit` of all lanes, NumPy leaves, lane axis leading, and their condition f[lanes]."""
    return _by_bucket(
        store, lambda part, groups: lanes.conclude(store.grid, groups, _rows(store.runs, part))
    )


def advance(store: Store, chosen: np.ndarray, limit: int, on_look: OnLook | None = None) -> None:
    """Run the chosen lanes until each has ended or made `limit` iterations."""
    size, ids = store.bucket, np.zeros(0, int)
    chosen = chosen[is_live(_rows(store.runs, chosen), limit)]
    if store.flight is None:
        waiting = chosen
        # Full buckets of a smaller size beat a large one that is a quarter empty.
        while chosen.size < 0.75 * size and size // RATIO >= store.smallest:
            size //= RATIO
    else:
        # Exactly the bucket that a checkpoint was taken in, ended lanes and all.
        (ids, size), store.flight = store.flight, None
        waiting = chosen[~np.isin(chosen, ids)]
        _run_bucket(store, ids, size, limit, bool(waiting.size), on_look)
    while True:
        ids = ids[is_live(_rows(store.runs, ids), limit)]
        free = size - ids.size
        ids, waiting = np.concatenate([ids, waiting[:free]]), waiting[free:]
        if ids.size == 0:
            return
        while size // RATIO >= max(ids.size, store.smallest):
            size //= RATIO
        _run_bucket(store, ids, size, limit, bool(waiting.size), on_look)


def _run_bucket(store, ids, size, limit, refill, on_look) -> None:
    """Run one bucket until repacking pays; lanes come back to the store."""
    padded = np.concatenate([ids, np.repeat(ids[:1], size - ids.size)])
    runs = _rows(store.runs, padded)
    runs.status[ids.size :] = Status.PRUNED  # padding: not live, so never stepped
    next_size = size // RATIO if size // RATIO >= store.smallest else 0
    stop_at = ids.size - max(1, size // 8) if refill else next_size
    fixed = store.grid, store.groups[padded], store.control, limit, stop_at, store.stride
    runs, count = lanes.advance(*fixed, runs)
    while True:
        # Dispatched before the last one's flags are read; nothing left to do costs nothing.
        ahead = lanes.advance(*fixed, runs)
        store.executed += int(count) * size
        live = int(np.sum(is_live(runs, limit)))
        if live > stop_at and on_look is not None:
            _put(store, ids, runs)
            store.flight = ids, size
            on_look(store)
        if live <= stop_at:
            break
        runs, count = ahead
    _put(store, ids, runs)
    if on_look is not None:
        store.flight = ids, size
        on_look(store)
    store.flight = None


def _by_bucket(store: Store, program: Callable) -> Any:
    """`program(lanes, their groups)` over parts of one size; the results joined, on the host."""
    parts = []
    n = len(store.groups)
    for i in range(0, n, store.bucket):
        part = np.arange(i, min(i + store.bucket, n))
        padded = np.concatenate([part, np.repeat(part[:1], store.bucket - part.size)])
        out = jax.device_get(program(padded, store.groups[padded]))
        parts.append(jax.tree.map(lambda leaf, m=part.size: leaf[:m], out))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _rows(tree: Any, part: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[part], tree)


def _put(store: Store, ids: np.ndarray, runs: Any) -> None:
    def put(kept, leaf):
        kept[ids] = leaf[: ids.size]

    jax.tree.map(put, store.runs, jax.device_get(runs))
