"""Buckets in parallel threads on a CPU.

XLA spreads large matrix products over the cores, but not the hundred small operations of a step,
and programs that one thread dispatches run one after another. So the lanes of a call are split
among threads, one for each core, and each thread has its own buckets. The results of a lane depend
on its own start and data alone. JAX compiles a program once, even where several threads ask for it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import jax
import numpy as np

from jaxem.core.precision import enable_x64

P = ParamSpec("P")
Part = TypeVar("Part")
Result = TypeVar("Result")


@dataclass
class Shared:
    """A lock for the host's state, and an event that ends every thread at its next look."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    stop: threading.Event = field(default_factory=threading.Event)


def split_among(chosen: np.ndarray, size: int, threads: int) -> list[np.ndarray]:
    """The chosen lanes or tiles in at most `threads` parts; neighbours stay together. There is no
    more than one part for each bucket of `size`."""
    return np.array_split(chosen, max(1, min(threads, -(-len(chosen) // size))))


def with_settings(work: Callable[P, Result]) -> Callable[P, Result]:
    """`work`, to be called once, in another thread, with this thread's JAX settings and context."""
    wide, device = jax.config.jax_enable_x64, jax.config.jax_default_device  # type: ignore[attr-defined]
    context = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> Result:
        with enable_x64(bool(wide)), jax.default_device(device):
            return work(*args, **kwargs)

    return lambda *args, **kwargs: context.run(run, *args, **kwargs)


def run_in_threads(
    work: Callable[[Part], Result], parts: list[Part], shared: Shared
) -> list[Result]:
    """`work` of all parts at once, with this thread's JAX settings; returns all results.

    Where one part fails or Ctrl-C is pressed, the other threads stop at their next look and the
    error is raised.
    """
    shared.stop.clear()
    if len(parts) == 1:
        return [work(parts[0])]

    def run(part: Part) -> Result:
        try:
            return work(part)
        except BaseException:
            shared.stop.set()
            raise

    with ThreadPoolExecutor(len(parts)) as pool:
        futures = [pool.submit(with_settings(run), part) for part in parts]
        try:
            wait(futures)
        except BaseException:
            shared.stop.set()
            raise
    return [future.result() for future in futures]
