"""What is timed on each device: the step, and fits as users run them.

Every function makes a variant in the process it is called in, whose default device is the one to
be timed.
"""

from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness.fits import full_mixture
from bench.harness.own import own_step
from bench.harness.problems import overlapping, separate
from bench.harness.timing import Variant, clocked

#: Iterations of one timed call of a step.
STRIDE = 5

#: Steps of every tiny fit: none ends earlier.
TINY_STEPS = 50


def step(n: int, d: int, k: int, lanes: int, stride: int) -> Variant:
    """`stride` iterations of all lanes on shared data. RuntimeError where the planner's bucket on
    this device holds more lanes: they would run without being counted."""
    own = own_step(overlapping(n, d, k), k, lanes)
    if own.plan.bucket > lanes:
        raise RuntimeError(f"a bucket holds {own.plan.bucket} lanes: ask for as many, not {lanes}.")
    return own.variant(stride)


def tiny(sets: int, n: int, d: int, k: int) -> Variant:
    """A fit of `TINY_STEPS` plain EM steps for every one of many small data sets."""
    options: dict[str, Any] = dict(tol=0.0, max_iter=TINY_STEPS, accelerate=None, n_starts=1)
    return _fits(jaxem.fit_many, k, separate(sets, n, d, k), **options)


def restarts(n: int, d: int, k: int, n_starts: int) -> Variant:
    """`jaxem.fit` from many starts, as it comes, to 1e-6 per row."""
    return _fits(jaxem.fit, k, overlapping(n, d, k), n_starts=n_starts, tol=1e-6)


def _fits(call: Any, k: int, x: np.ndarray, **options: Any) -> Variant:
    model, key = full_mixture(k), jax.random.key(0)
    return clocked(lambda: call(model, x, key=key, **options).params)
