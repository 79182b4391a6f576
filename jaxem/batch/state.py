"""All lanes of a call on the host: `Batch`, which does not change, and `Runs`, which do.

`Runs` has five fields that change while lanes run, and this is all that threads share. What a
search strategy knows beside them (who left the race, whose child a lane is) is its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from jaxem.batch.lanes import Grid
from jaxem.batch.planning import Plan
from jaxem.batch.threads import Shared
from jaxem.core.status import Status
from jaxem.devices.placement import DEFAULT, Placement
from jaxem.engine.steps import Control, Run


@dataclass(frozen=True)
class Batch:
    """What the lanes of a call have in common: data, settings, sizes, devices."""

    grid: Grid
    control: Control
    plan: Plan
    groups: np.ndarray  # i[lanes], the data set of each lane, in the grid
    starts: np.ndarray  # i[lanes], the lane's number among the data set's starts
    names: np.ndarray  # i[lanes], the data set's number in the call, for the random keys
    placement: Placement = DEFAULT
    active: int | None = None  # components that are on, of those computed; None for all

    @property
    def shares_data(self) -> bool:
        """Whether all lanes fit one data set."""
        return self.grid.shared

    def with_plan(self, **sizes: int) -> "Batch":
        """The same lanes with other sizes of buckets, blocks or tiles."""
        return replace(self, plan=replace(self.plan, **sizes))


@dataclass(frozen=True)
class Bucket:
    """Tiles of lanes i[t, width] that run at once on a device, and how many it was made for."""

    tiles: np.ndarray
    size: int


@dataclass
class Runs:
    """Where all lanes stand. The scheduler writes lanes back as they return from the device."""

    batch: Batch  # with smaller sizes once memory has run out
    run: Any = None  # engine Run, NumPy leaves f[lanes, ...]
    executed: int = 0  # lane-iterations that the machine ran
    active_bucket: Bucket | None = None  # in which a checkpoint was taken
    syncs_done: int = 0  # how often the processes have told one another of their lanes
    shared: Shared = field(default_factory=Shared)


#: Called between looks with the runs, lanes of the active bucket written back.
OnLook = Callable[[Runs], None]


def unfinished(run: Run, tiles: np.ndarray, limit: int) -> np.ndarray:
    """b[t, width]: lanes of the tiles that still have steps to make. Other lanes are not looked at:
    there may be a million."""
    status, n_iter = run.status[tiles], run.n_iter[tiles]
    return (tiles >= 0) & (status == Status.RUNNING) & (n_iter < limit)


def take(tree: Any, lanes: np.ndarray) -> Any:
    """The chosen lanes of a tree, on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[lanes], tree)


def put(run: Run, lanes: np.ndarray, source: np.ndarray, new: Any) -> None:
    """Entries `source` of `new` become the given lanes of `run`, in place."""

    def write(kept: np.ndarray, leaf: np.ndarray) -> None:
        kept[lanes] = leaf[source]

    jax.tree.map(write, run, jax.device_get(new))
