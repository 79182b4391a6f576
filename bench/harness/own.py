"""jaxem's own step, as the engine runs it: `lanes.advance` on a batch of `jaxem.fit`."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness.fits import full_mixture
from bench.harness.timing import Variant, clocked
from jaxem.batch import lanes, scheduler
from jaxem.batch.lanes import Until
from jaxem.batch.planning import Plan
from jaxem.batch.problem import Resources, batch_of, pose
from jaxem.batch.state import Batch, take
from jaxem.core.compilation import compilations
from jaxem.data.validate import host_data
from jaxem.engine.steps import Control

#: From so many lanes on they are the bucket of a call long enough to be worth compiling it; shorter
#: calls have narrower buckets (`python -m bench step.growth` tells what a step of few lanes costs).
WIDE = 64

#: No lane ends by itself: neither the tolerance nor the number of iterations can be reached.
ENDLESS = Control(-1.0, 1_000_000_000)


@dataclass
class OwnStep:
    """All lanes of one fit, running, in buckets as the planner made them."""

    batch: Batch
    buckets: list[tuple[Any, Any]]  # (groups, runs on the device)
    compile_seconds: float = 0.0

    @property
    def plan(self) -> Plan:
        """Sizes of the buckets."""
        return self.batch.plan

    @property
    def columns(self) -> int:
        """Lanes × components of one matrix product."""
        return self.plan.bucket * self.batch.grid.model.n_components

    def advance(self, stride: int) -> list[Any]:
        """`stride` iterations of every lane, from the same state each time."""
        until, grid = Until(1_000_000_000, 0, stride), self.batch.grid
        return [lanes.advance(grid, groups, ENDLESS, until, runs) for groups, runs in self.buckets]

    def variant(self, stride: int) -> Variant:
        """Timed `stride` iterations."""
        done = jax.block_until_ready(self.advance(stride))
        made = [int(np.max(tally[:, 0])) for _, tally in done]
        if made != [stride] * len(made):
            raise RuntimeError(f"lanes ended by themselves after {made} of {stride} iterations")
        return clocked(lambda: self.advance(stride))

    def statuses(self, stride: int) -> dict[str, int]:
        """How lanes stand after `stride` iterations."""
        codes = np.concatenate([np.asarray(runs.status) for runs, _ in self.advance(stride)])
        return {jaxem.Status(int(c)).name: int(np.sum(codes == c)) for c in np.unique(codes)}


def own_step(x: np.ndarray, k: int, n_starts: int) -> OwnStep:
    """Lanes at their starts plus two iterations, ready to be timed; the kernel is the one that
    `jaxem.fit` would take on this device."""
    problem = pose(full_mixture(k), host_data(x), x.dtype)
    room = n_starts if n_starts < WIDE else 1 << 20
    batch = batch_of(problem, n_starts, ENDLESS, Resources(), room)
    started = scheduler.start_random(batch, jax.random.key(0), "random_from_data")
    bucket, buckets, seconds = batch.plan.bucket, [], 0.0
    for i in range(0, n_starts, bucket):
        part = np.minimum(np.arange(i, i + bucket), n_starts - 1)
        groups, until = batch.groups[part], Until(1_000_000_000, 0, 2)
        runs = take(started.run, part)
        with compilations() as count:
            runs, _ = lanes.advance(batch.grid, groups, ENDLESS, until, runs)
        seconds += count.seconds
        buckets.append((groups, jax.block_until_ready(runs)))
    return OwnStep(batch, buckets, seconds)
