"""Which lanes run side by side: tiles of lanes that share their data, packed into buckets.

With several data sets, a tile is some lanes of one data set: its rows and features are in memory
once, and the products of its lanes are one product. With one data set that all lanes share, a tile
is one lane. An empty slot of a tile is −1.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from jaxem.batch import lanes
from jaxem.batch.lanes import Until
from jaxem.batch.planning import Plan
from jaxem.batch.state import Bucket, OnLook, Runs, put, take, unfinished
from jaxem.core.status import Status
from jaxem.engine.steps import Control, Run

#: One bucket size is this many times the next: fewer compilations against tighter packing.
RATIO = 4

#: While lanes wait, a bucket is packed anew when one in this many of its tiles has ended: sooner
#: where all lanes share their data, because repacking is cheap there.
REPACK_SHARED, REPACK_SEPARATE = 8, 3

#: Iterations after which several devices exchange lanes at the latest: none idles for long.
ITERATIONS_BETWEEN_EXCHANGES = 4


@dataclass(frozen=True)
class Job:
    """The request of one call of `scheduler.advance`: runs, settings and limit of their lanes."""

    runs: Runs
    control: Control
    limit: int  # iterations of each lane, at most
    on_look: OnLook | None = None

    def busy(self, tiles: np.ndarray, least: int) -> np.ndarray:
        """b[t]: tiles of which more than `least` lanes still have steps to make."""
        return unfinished(self.runs.run, tiles, self.limit).sum(axis=1) > least


def tiles_of(groups: np.ndarray, chosen: np.ndarray, width: int) -> np.ndarray:
    """The chosen lanes i[c] in tiles i[t, width] of one data set each, in their order; `groups`
    i[lanes] is the data set of every lane."""
    if width == 1 or chosen.size == 0:
        return chosen.reshape(-1, width)
    order = chosen[np.argsort(groups[chosen], kind="stable")]
    sets = groups[order]
    first = np.flatnonzero(np.diff(sets, prepend=sets[0] - 1))
    within = np.arange(sets.size) - np.repeat(first, np.diff(first, append=sets.size))
    slot = within % width
    number = np.cumsum(slot == 0) - 1
    tiles = np.full((number[-1] + 1, width), -1)
    tiles[number, slot] = order
    return tiles


def deal(tiles: np.ndarray, size: int, devices: int) -> tuple[np.ndarray, np.ndarray]:
    """The tiles dealt to devices in turn, with padding to `size` tiles for each device.

    Returns lanes i[devices · size, width], in which a lane of the same data set fills an empty slot
    and a lane of the first tile an empty tile, and which slots are taken b[devices · size, width].
    """
    number = np.arange(len(tiles))
    bucket = np.full((devices * size, tiles.shape[1]), -1)
    bucket[number % devices * size + number // devices] = tiles
    taken = bucket >= 0
    first = np.where(taken[:, :1], bucket[:, :1], tiles[0, 0])
    return np.where(taken, bucket, first), taken


def pack(job: Job, tiles: np.ndarray) -> None:
    """Run the tiles i[t, width] in buckets until few lanes of each are live (`least_live`). Waiting
    tiles refill the bucket; when none waits, the bucket becomes smaller."""
    runs, plan = job.runs, job.runs.batch.plan
    width, devices = tiles.shape[1], runs.batch.placement.devices
    size, least = size_of(plan, width), least_live(plan, width)
    smallest = smallest_of(plan, width)
    running, waiting = tiles[:0], tiles[job.busy(tiles, least)]
    if runs.active_bucket is None:
        size = first_size(plan, len(waiting), width, devices)
    else:
        # Exactly the bucket in which a checkpoint was taken, including lanes that have ended.
        bucket, runs.active_bucket = runs.active_bucket, None
        running, size = bucket.tiles, bucket.size
        waiting = waiting[~np.isin(waiting[:, 0], running[:, 0])]
        _run_bucket(job, running, size, bool(len(waiting)))
    while not runs.shared.stop.is_set():
        running = running[job.busy(running, least)]
        free = size * devices - len(running)
        running, waiting = np.concatenate([running, waiting[:free]]), waiting[free:]
        if len(running) <= dissolve_at(plan, width, size, devices):
            return
        while size // RATIO >= max(-(-len(running) // devices), smallest):
            size //= RATIO
        _run_bucket(job, running, size, bool(len(waiting)))


def size_of(plan: Plan, width: int) -> int:
    """Number of tiles in a full bucket. Lanes of dissolved tiles run one by one, in buckets of the
    smallest size, which saves a program."""
    return -(-plan.bucket // width) if width == plan.tile else plan.smallest


def smallest_of(plan: Plan, width: int) -> int:
    """Number of tiles in the smallest bucket."""
    return size_of(plan, width) if width > 1 else plan.smallest


def first_size(plan: Plan, waiting: int, width: int, devices: int = 1) -> int:
    """Number of tiles in the first bucket where so many tiles wait: full buckets of a smaller size
    are quicker than a large one that is a quarter empty."""
    size = size_of(plan, width)
    while waiting < 0.75 * size * devices and size // RATIO >= smallest_of(plan, width):
        size //= RATIO
    return size


def least_live(plan: Plan, width: int) -> int:
    """A tile with this number of live lanes or fewer is dissolved. 0 where a call is too short for
    a second program: its tiles run to the end."""
    if width == 1 or plan.smallest == plan.bucket:
        return 0
    return max(1, 2 * width // 5)


def dissolve_at(plan: Plan, width: int, size: int, devices: int) -> int:
    """Number of busy tiles at or below which the last bucket is dissolved: its lanes, packed one by
    one, are quicker than a bucket of tiles that is half empty."""
    return size * devices // 2 if least_live(plan, width) else 0


def _stop_at(job: Job, tiles: np.ndarray, size: int, refill: bool) -> int:
    """Number of busy tiles at which repacking pays."""
    batch, width = job.runs.batch, tiles.shape[1]
    plan, devices = batch.plan, batch.placement.devices
    if refill:
        ratio = REPACK_SHARED if batch.shares_data else REPACK_SEPARATE
        return len(tiles) - max(1, size * devices // ratio)
    if width == 1 and size // RATIO >= plan.smallest:
        return size // RATIO * devices
    return dissolve_at(plan, width, size, devices)


def _run_bucket(job: Job, tiles: np.ndarray, size: int, refill: bool) -> None:
    """Run a bucket on each device until repacking pays, and write its lanes back. `refill`: whether
    other tiles wait for a place in it."""
    runs, batch, width = job.runs, job.runs.batch, tiles.shape[1]
    placement, devices = batch.placement, batch.placement.devices
    least, stop_at = least_live(batch.plan, width), _stop_at(job, tiles, size, refill)
    if np.sum(job.busy(tiles, least)) <= stop_at:
        return  # a checkpoint was taken where this bucket ended
    slots, taken = deal(tiles, size, devices)
    at_start = take(runs.run, slots.ravel())
    at_start.status[~taken.ravel()] = Status.PRUNED  # padding: never stepped
    until = Until(job.limit, stop_at, batch.plan.stride, least)
    if devices > 1:  # each device keeps its lanes until the next exchange
        until = Until(job.limit, 0, min(batch.plan.stride, ITERATIONS_BETWEEN_EXCHANGES), least)
    groups = placement.shard(batch.groups[slots[:, 0]])

    step = partial(lanes.advance, batch.grid, groups, job.control, until)
    run, tally = step(placement.shard(at_start), placement.mesh)
    ids, source, bucket = slots[taken], np.flatnonzero(taken), Bucket(tiles, size)
    while True:
        # Dispatched before the last tally is read; a step without live lanes costs nothing.
        ahead = step(run, placement.mesh)
        count, busy = np.sum(np.asarray(tally), axis=0)
        _count(runs, int(count) * size * width)
        if busy <= stop_at or runs.shared.stop.is_set():
            break
        if job.on_look is not None:
            _look(runs, bucket, (ids, source, run), job.on_look)
        run, tally = ahead
    if devices > 1:  # there stop_at is 0, and `ahead` has made steps
        run, tally = ahead
        _count(runs, int(np.sum(np.asarray(tally)[:, 0])) * size * width)
    put(runs.run, ids, source, run)
    if job.on_look is not None:
        _look(runs, bucket, (ids, source, run), job.on_look)
    runs.active_bucket = None


def _count(runs: Runs, lane_iterations: int) -> None:
    with runs.shared.lock:
        runs.executed += lane_iterations


def _look(
    runs: Runs, bucket: Bucket, back: tuple[np.ndarray, np.ndarray, Run], on_look: OnLook
) -> None:
    """Write the lanes of the bucket back, `back` being (lanes, their entries in the run, run), and
    call `on_look`. There is one active bucket only where one thread runs."""
    with runs.shared.lock:
        put(runs.run, *back)
        runs.active_bucket = bucket if runs.batch.plan.threads == 1 else None
        on_look(runs)
