"""All lanes of a call on the host: `Batch`, which does not change, and `Runs`, which do.

The fields of `Runs` that change while lanes run are all that threads share. The state of the search
(which lanes left the race, from which parent a proposal came) is in `search.strategy.SearchState`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import jax
import numpy as np

from jaxem.batch.grid import Grid
from jaxem.batch.planning import Plan
from jaxem.batch.threads import Shared
from jaxem.core.status import Status
from jaxem.core.types import DType
from jaxem.devices.placement import DEFAULT, Placement
from jaxem.engine.steps import Control, Run

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """The common part of all lanes of a call: data, settings, sizes, devices."""

    grid: Grid
    control: Control
    plan: Plan
    groups: np.ndarray  # i[lanes], the data set of each lane, in the grid
    starts: np.ndarray  # i[lanes], the lane's number among the data set's starts
    numbers: np.ndarray  # i[lanes], the data set's number in the call, for the random keys
    placement: Placement = DEFAULT
    active: int | None = None  # number of latent values that are on; None for all
    reported: DType | None = None  # of the reported parameters; None for that of the runs

    @property
    def shares_data(self) -> bool:
        """Whether all lanes share the rows of one table; their weights may differ."""
        return self.grid.shared

    def with_plan(self, **sizes: int) -> "Batch":
        """The same lanes with other sizes of buckets, blocks or tiles."""
        return replace(self, plan=replace(self.plan, **sizes))


@dataclass(frozen=True)
class Bucket:
    """Lanes that run at once on a device."""

    tiles: np.ndarray  # i[t, width]
    size: int  # number of tiles that the compiled program takes


@dataclass
class Runs:
    """The state of all lanes. The scheduler writes lanes back as they return from the device."""

    batch: Batch  # with smaller sizes once memory has run out
    run: Run = field(init=False)  # NumPy leaves f[lanes, ...]; set where lanes are started
    executed: int = 0  # lane-iterations that the machine ran
    active_bucket: Bucket | None = None  # the bucket on the device, for a checkpoint to record
    syncs_done: int = 0  # number of exchanges of lanes between processes
    shared: Shared = field(default_factory=Shared)


#: Called between two strides of a bucket, with the lanes of the bucket written back to the runs.
OnLook = Callable[[Runs], None]


def unfinished(run: Run, tiles: np.ndarray, limit: int) -> np.ndarray:
    """b[t, width]: lanes of the tiles that still have steps to make. Only these lanes are read,
    since a call may have a million."""
    status, n_iter = run.status[tiles], run.n_iter[tiles]
    return (tiles >= 0) & (status == Status.RUNNING) & (n_iter < limit)


def take(tree: T, lanes: np.ndarray) -> T:
    """The chosen lanes of a tree, on the host."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[lanes], tree)


def put(run: Run, lanes: np.ndarray, source: np.ndarray, new: Run) -> None:
    """Write the entries `source` of `new` into the given lanes of `run`, in place."""

    def write(kept: np.ndarray, leaf: np.ndarray) -> None:
        kept[lanes] = leaf[source]

    jax.tree.map(write, run, jax.device_get(new))
