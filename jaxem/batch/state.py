"""All lanes of a call, on the host: what the scheduler, the race and checkpoints hand around."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxem.batch.lanes import Grid
from jaxem.batch.threads import Gate
from jaxem.core.status import Status
from jaxem.devices.placement import HERE, Place
from jaxem.engine.steps import Control


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
    flight: tuple[np.ndarray, int] | None = None  # tiles a checkpoint was taken in, their bucket
    rung: int = 0  # rungs of the race behind us
    alive: Any = None  # i[...], lanes that the race has not left behind
    follows: Any = None  # i[lanes], whose path a pruned lane had joined, or -1
    place: Place = HERE
    rows: int = 0  # rows of a block
    stage: int = 0  # how often the processes have told one another of their lanes
    lines: int = 1  # buckets in work at once on a device
    tile: int = 1  # lanes of one data set that run together
    at_once: int = 1  # lanes that are initialised together
    key: Any = None  # what draws the children of the best
    generations: int = 0  # of children, that the best have after the race
    parent: Any = None  # i[lanes], whose child a lane holds by now, or -1
    generation: int = 0  # generations of children behind us
    brood: Any = None  # i[...], children whose race is not over
    contenders: Any = None  # i[...], lanes that run on because they may be the best
    verdicts: Any = None  # i[...], how these had ended before
    spent: int = 0  # lane-iterations of runs whose place a child took
    gate: Gate = field(default_factory=Gate)


#: Called between looks with the store, lanes in flight written back.
OnLook = Callable[[Store], None]


def live(store: Store, tiles: np.ndarray, limit: int) -> np.ndarray:
    """b[t, width]: lanes that still have steps to make. Of these alone: there may be a million."""
    status, n_iter = store.runs.status[tiles], store.runs.n_iter[tiles]
    return (tiles >= 0) & (status == Status.RUNNING) & (n_iter < limit)


def rows(tree: Any, part: np.ndarray) -> Any:
    """Those lanes of a tree, on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[part], tree)


def put(store: Store, ids: np.ndarray, at: np.ndarray, runs: Any) -> None:
    """Lanes `at` of the runs become lanes `ids` of the store."""

    def one(kept, leaf):
        kept[ids] = leaf[at]

    jax.tree.map(one, store.runs, jax.device_get(runs))
