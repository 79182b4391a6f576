"""Which of XLA's code generators for CPUs should compile the engine's steps?

The same step by the older one (without fusion emitters) and by the newer, interleaved: 64 restarts
on shared data (n = 8000, K = 8, d = 2 to 32) and a bucket of separate small data sets; full
covariance, float32 and float64. Seconds of compiling, and of running.

Last answer: where lanes share their data the older one, which compiles in 0.60 to 0.85 of the time
to steps as fast (0.94 to 1.06; one of ten problems 1.30); where each has its own the newer: the
older's steps take 0.9 to 1.7 times as long. Two cores of an AMD EPYC with AVX-512, jax 0.10.2,
November 2026.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from bench.harness.machine import cores
from bench.harness.own import ENDLESS, own_step
from bench.harness.problems import overlapping, separate
from bench.harness.rows import Verdict, row
from bench.harness.timing import clocked, interleaved, paired_ratio
from jaxem.batch import lanes, scheduler
from jaxem.batch.problem import many_data_sets, plan_for
from jaxem.core.precision import precision_of
from jaxem.data.data import Data
from jaxem.data.scaling import scalings_of, standardize

#: By the second argument of `lanes.advance.on`: what it takes for shared data, and for separate.
GENERATORS = {"older": True, "newer": False}


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by problem and generator."""
    n, dims, sets, stride = (200, (2,), 8, 3) if quick else (8000, (2, 4, 8, 16, 32), 500, 5)
    rows = []
    for dtype in (np.float32, np.float64):
        with precision_of(np.dtype(dtype)):
            for d in dims:
                grid, groups, runs = _shared(overlapping(n, d, 8).astype(dtype))
                size = n, d, 8, len(groups)
                rows += _timed(f"shared, d={d}", size, dtype, (grid, groups, runs), stride)
            for n_rows, d, k in ((256, 2, 3), (1000, 4, 4)):
                grid, groups, runs = _separate(separate(sets, n_rows, d, k).astype(dtype), k)
                size = n_rows, d, k, len(groups)
                rows += _timed(f"separate, d={d}", size, dtype, (grid, groups, runs), stride)
    return rows


def _shared(x):
    own = own_step(x, 8, 64)
    return own.store.grid, *own.buckets[0]


def _separate(x, k):
    """A bucket of lanes with data of their own, at their starts."""
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    weight = np.ones(x.shape[:2], x.dtype)
    frame = scalings_of(model.family, x, weight)
    data = Data(jnp.asarray(standardize(x, frame)), jnp.asarray(weight))
    plan = plan_for(model, data, 1, None, len(x))
    store = many_data_sets(model, data, frame, 1, ENDLESS, plan, np.arange(len(x)))
    scheduler.seed(store, jax.random.key(0), "random_from_data")
    part = np.arange(min(plan.bucket, len(x)))
    return store.grid, store.groups[part], jax.tree.map(lambda leaf: leaf[part], store.runs)


def _timed(name, size, dtype, state, stride) -> list[dict[str, Any]]:
    grid, groups, runs = state
    fixed = grid, groups, ENDLESS, 1_000_000_000, 0, stride, runs
    variants, compiled = {}, {}
    for generator, shared in GENERATORS.items():
        program = lanes.advance.on("cpu", shared)
        jax.clear_caches()
        begun = time.perf_counter()
        jax.block_until_ready(program(*fixed))
        compiled[generator] = time.perf_counter() - begun
        variants[generator] = clocked(lambda program=program: program(*fixed))
    times = interleaved(variants, 3.0, most=15)
    kind = np.dtype(dtype).name
    return [
        row(
            f"{name}, {kind}, {generator}",
            size,
            times[generator],
            iterations=stride,
            compile_seconds=compiled[generator],
            dtype=kind,
            threads=cores(),
            problem=f"{name}, {kind}",
            ratio=paired_ratio(times[generator], times["newer"]),
        )
        for generator in GENERATORS
    ]


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """The older generator's seconds over the newer's, of running and of compiling."""
    out = []
    for older, newer in zip(rows[::2], rows[1::2], strict=True):
        out.append(Verdict(f"older / newer, step, {older['problem']}", older["ratio"]))
        compiling = older["compile_seconds"] / newer["compile_seconds"]
        out.append(Verdict(f"older / newer, compiling, {older['problem']}", compiling))
    return out
