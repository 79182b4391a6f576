"""The scheduler: all lanes of a call, run in buckets on threads, devices and processes.

Lanes wait on the host. A bucket of them runs on the device in one compiled loop, which returns as
soon as repacking pays: finished lanes leave, waiting lanes take their slots, and when none waits
the live lanes move to a smaller bucket. With several data sets, lanes of one data set run as a tile
until few of them are live, then one by one. The results of a lane depend on its own start and data
alone; the other lanes of its bucket change nothing but roundings.

Several devices each run a bucket of their own in one program, in which nothing is exchanged; when
the program returns, the live lanes are dealt to the devices anew. Several processes each advance
their share of the lanes, and then exchange the results.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace as with_fields
from functools import partial
from typing import TypeVar

import jax
import numpy as np

from jaxem.batch import lanes, packing, planning
from jaxem.batch.ahead import compile_ahead
from jaxem.batch.grid import prepare
from jaxem.batch.lanes import LaneIds
from jaxem.batch.state import Batch, OnLook, Runs, put, take, unfinished
from jaxem.batch.threads import run_in_threads, split_among
from jaxem.core.trees import replace
from jaxem.core.types import Array, Init, Params, PyTree
from jaxem.devices import distributed
from jaxem.engine.steps import Control, Run
from jaxem.results.fit import Fit

#: Smallest block of rows that is tried after a device has run out of memory.
SMALLEST_BLOCK = 64

Result = TypeVar("Result")


def start_at(batch: Batch, params: Params) -> Runs:
    """Runs of every lane from given parameters f[lanes, ...]."""
    runs = Runs(batch)

    def start(part: np.ndarray, groups: Array) -> Run:
        given = batch.placement.shard(take(params, part))
        mesh = batch.placement.mesh
        return lanes.start(runs.batch.grid, groups, given, batch.control, mesh=mesh)

    runs.run = _by_bucket(runs, start)
    return runs


def start_random(batch: Batch, key: jax.Array, init: Init) -> Runs:
    """Runs of every lane from its own start by the initialiser."""
    runs, mesh = Runs(batch), batch.placement.mesh

    def arguments(part: np.ndarray, groups: Array) -> tuple:
        now = runs.batch  # with smaller sizes once memory has run out
        at_once = min(now.plan.at_once, now.plan.bucket)
        draw = lanes.Draw(key, now.active, init, at_once)
        return now.grid, _ids(now, part, groups), draw, now.control

    def start(part: np.ndarray, groups: Array) -> Run:
        return lanes.draw_starts(*arguments(part, groups), mesh=mesh)

    compile_ahead(batch, lambda part: arguments(part, batch.groups[part]))
    runs.run = _by_bucket(runs, start)
    return runs


def propose(
    runs: Runs, chosen: np.ndarray, parents: np.ndarray, key: jax.Array, generation: int
) -> Run:
    """Runs of the chosen lanes, each from a split and a merge of the components of its parent;
    `parents` i[lanes] are lanes."""
    mesh = runs.batch.placement.mesh

    def start(part: np.ndarray, groups: Array) -> Run:
        now = runs.batch
        # A proposal needs twice the memory of a start: an array beside the responsibilities.
        at_once = max(1, min(now.plan.at_once // 2, now.plan.bucket))
        begun = now.placement.shard(take(runs.run.point.params, parents[part]))
        ids = _ids(now, part, groups)
        draw = lanes.Draw(key, at_once=at_once, generation=generation)
        return lanes.propose(now.grid, ids, begun, draw, now.control, mesh=mesh)

    return _by_bucket(runs, start, chosen)


def _ids(batch: Batch, part: np.ndarray, groups: Array) -> LaneIds:
    shard = batch.placement.shard
    return LaneIds(groups, shard(batch.numbers[part]), shard(batch.starts[part]))


def spurious(runs: Runs) -> np.ndarray:
    """b[lanes, 2]. Column 0: at a spurious maximum; column 1: near one."""
    if runs.batch.control.assignment != "soft":  # no likelihood that could be spuriously high
        return np.zeros((len(runs.batch.groups), 2), bool)
    return _by_bucket(runs, partial(_of_runs, lanes.spurious, runs))


def conclude(runs: Runs, chosen: np.ndarray | None = None) -> tuple[Fit, np.ndarray]:
    """The `Fit` of the chosen lanes (None: all), of NumPy leaves f[lanes, ...], and their condition
    f[lanes]. Likelihoods are those of the parameters rounded to the dtype that is reported."""
    batch = runs.batch
    program = partial(lanes.conclude, control=batch.control, dtype=batch.reported)
    return _by_bucket(runs, partial(_of_runs, program, runs), chosen)


def _of_runs(program: Callable, runs: Runs, part: np.ndarray, groups: Array) -> PyTree:
    placement = runs.batch.placement
    at = placement.shard(take(runs.run, part))
    return program(runs.batch.grid, groups, at, mesh=placement.mesh)


def advance(
    runs: Runs,
    chosen: np.ndarray,
    limit: int,
    on_look: OnLook | None = None,
    remaining: float | None = None,
) -> None:
    """Run the chosen lanes until each has ended or made `limit` iterations.

    `remaining`: a run ends only where it has at most this number of nats left to gain, beside
    satisfying the stopping rule (None: no such limit). Of several processes, each runs its share.
    """
    if chosen.size == 0:
        return
    placement = runs.batch.placement
    own = placement.own_share(chosen)
    control = runs.batch.control
    control = control if remaining is None else replace(control, remaining=remaining)

    def in_threads() -> None:
        plan = runs.batch.plan
        tiles = packing.tiles_of(runs.batch.groups, own, plan.tile)
        tiles = tiles[np.any(unfinished(runs.run, tiles, limit), axis=1)]
        work = partial(_advance, runs, control=control, limit=limit, on_look=on_look)
        parts = split_among(tiles, packing.size_of(plan, plan.tile), plan.threads)
        run_in_threads(work, parts, runs.shared)

    within_memory(runs, in_threads)
    if placement.shared_out:
        ended = distributed.join(chosen.size, take(runs.run, own))
        put(runs.run, chosen, np.arange(chosen.size), ended)
        runs.syncs_done += 1


def within_memory(runs: Runs, work: Callable[[], Result]) -> Result:
    """`work()`, repeated with fewer lanes and rows at once while the device runs out of memory.

    Raises MemoryError, which says how much memory there is, where one lane is too much, and
    RuntimeError where a process that runs in step with this one has ended.
    """
    in_step = runs.batch.placement.in_step
    while True:
        try:
            return work()
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            if in_step and distributed.is_loss(error):
                message = f"{distributed.LOST} ({distributed.first_line(error)})"
                raise RuntimeError(message) from error
            if isinstance(error, ValueError) or not planning.exhausted(error):
                raise
            if in_step:  # the other processes would not know
                x = runs.batch.grid.data.x
                raise MemoryError(planning.too_small(x, error)) from error
            runs.batch, runs.active_bucket = _smaller(runs.batch, error), None


def _smaller(batch: Batch, error: Exception) -> Batch:
    """The batch with a quarter of the lanes and rows at once."""
    plan = batch.plan
    if plan.bucket == 1 and plan.rows <= SMALLEST_BLOCK:
        raise MemoryError(planning.too_small(batch.grid.data.x, error)) from error
    bucket = max(1, plan.bucket // packing.RATIO)
    rows = max(min(SMALLEST_BLOCK, plan.rows), plan.rows // packing.RATIO)
    warnings.warn(
        f"out of device memory ({distributed.first_line(error)}); the fit goes on with "
        f"{bucket} lanes and blocks of {rows} rows at once. A smaller memory_limit= "
        "chooses such sizes from the start.",
        RuntimeWarning,
        stacklevel=2,
    )
    smallest, tile = min(plan.smallest, bucket), min(plan.tile, bucket)
    plan = with_fields(plan, bucket=bucket, smallest=smallest, tile=tile, rows=rows)
    grid = batch.placement.replicate(prepare(replace(batch.grid, prepared=None), rows))
    return with_fields(batch, grid=grid, plan=plan)


def _advance(
    runs: Runs, tiles: np.ndarray, control: Control, limit: int, on_look: OnLook | None
) -> None:
    """Run tiles while many lanes of a tile are live, then the remaining lanes one by one."""
    width, active = runs.batch.plan.tile, runs.active_bucket
    job = packing.Job(runs, control, limit, on_look)
    if active is None or active.tiles.shape[1] == width:
        packing.pack(job, tiles)
    if width > 1:
        packing.pack(job, tiles[tiles >= 0].reshape(-1, 1))


def _by_bucket(runs: Runs, program: Callable, chosen: np.ndarray | None = None) -> PyTree:
    """`program(lanes, their groups)` of the chosen lanes (None: all), in parts of one size; the
    results concatenated on the host."""
    everyone = np.arange(len(runs.batch.groups)) if chosen is None else chosen
    own = runs.batch.placement.own_share(everyone)
    # A process without lanes runs one all the same, for the structure of the results.
    mine = own if own.size else everyone[:1]
    out = within_memory(runs, lambda: _parts(runs, mine, program))
    if not runs.batch.placement.shared_out:
        return out
    return distributed.join(everyone.size, take(out, np.arange(own.size)))


def _parts(runs: Runs, own: np.ndarray, program: Callable) -> PyTree:
    """`program` of the lanes `own` in parts of a bucket's size, the last one padded, so that one
    program runs all."""
    batch = runs.batch
    size = batch.plan.bucket * batch.placement.devices

    def result(i: int) -> PyTree:
        part = own[i : i + size]
        padded = np.concatenate([part, np.repeat(part[:1], size - part.size)])
        out = jax.device_get(program(padded, batch.placement.shard(batch.groups[padded])))
        return jax.tree.map(lambda leaf: leaf[: part.size], out)

    begins = split_among(np.arange(0, own.size, size), 1, batch.plan.threads)
    by_thread = run_in_threads(lambda part: [result(i) for i in part], begins, runs.shared)
    results = [result for results in by_thread for result in results]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *results)
