"""What is timed on each device: its limits, the step, fits as users run them.

Every function makes a variant in the process it is called in, whose default device is the one to
be timed. Where `JAXEM_BENCH_TRACE` names a folder, JAX's profiler records one more run there.
"""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from bench.harness.own import own_step
from bench.harness.problems import overlapping, separate
from bench.harness.timing import Variant, clocked

TRACE = "JAXEM_BENCH_TRACE"

#: Iterations of one timed call of a step.
STRIDE = 5

#: Steps of every tiny fit: none ends earlier.
TINY_STEPS = 50


def copy(n_bytes: int) -> Variant:
    """Read and write an array of so many bytes."""
    x = jnp.ones(n_bytes // 4, jnp.float32)
    scale = jax.jit(lambda x: x * np.float32(1.5))
    return _traced("copy", clocked(lambda: scale(x)))


def product(order: int) -> Variant:
    """A square float32 product, every digit kept."""
    a = jnp.asarray(np.random.default_rng(0).normal(size=(order, order)).astype(np.float32))
    multiply = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
    return _traced("product", clocked(lambda: multiply(a)))


def step(
    n: int, d: int, k: int, lanes: int, kernel: str | None, precision: str, stride: int
) -> Variant:
    """`stride` iterations of all lanes on shared data. RuntimeError where the planner's bucket on
    this device holds more lanes: they would run without being counted."""
    own = own_step(overlapping(n, d, k), k, lanes, kernel, precision)
    if own.plan.bucket > lanes:
        raise RuntimeError(f"a bucket holds {own.plan.bucket} lanes: ask for as many, not {lanes}.")
    return _traced(f"step-n{n}-d{d}-{kernel or 'chosen'}-{precision}", own.variant(stride))


def tiny(sets: int, n: int, d: int, k: int) -> Variant:
    """A fit of `TINY_STEPS` plain EM steps for every one of many small data sets."""
    x = separate(sets, n, d, k)
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    options: dict[str, Any] = dict(tol=0.0, max_iter=TINY_STEPS, accelerate=None, n_starts=1)
    return _traced(
        "tiny", clocked(lambda: jaxem.fit_many(model, x, key=jax.random.key(0), **options).params)
    )


def restarts(n: int, d: int, k: int, n_starts: int) -> Variant:
    """`jaxem.fit` from many starts, as it comes, to 1e-6 per row."""
    x = overlapping(n, d, k)
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    options: dict[str, Any] = dict(n_starts=n_starts, tol=1e-6)
    return _traced(
        "restarts", clocked(lambda: jaxem.fit(model, x, key=jax.random.key(0), **options).params)
    )


def _traced(name: str, variant: Variant) -> Variant:
    """The variant, run twice (the second under the profiler) where a trace was asked for."""
    folder = os.environ.get(TRACE)
    if folder:
        variant()
        with jax.profiler.trace(str(Path(folder) / f"{jax.default_backend()}-{name}")):
            variant()
    return variant
