"""Several buckets at once on the cores of a CPU: lines of lanes, each in a thread of its own.

XLA spreads large matrix products over the cores, but not the hundred small operations of a step,
and it runs one after another what one thread dispatches. So the lanes of a call are dealt to as
many lines as there are cores, each with its own buckets; a lane's numbers depend on its own start
and data alone. JAX compiles a program once, whoever else asks for it meanwhile.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from jaxem.core.precision import enable_x64


@dataclass
class Gate:
    """What the lines of a store share: who writes to it, and whether to go on."""

    lock: Any = field(default_factory=threading.RLock)
    halted: threading.Event = field(default_factory=threading.Event)


def dealt(chosen: np.ndarray, size: int, lines: int) -> list[np.ndarray]:
    """The chosen lanes or tiles in up to so many parts of at least one bucket, neighbours
    together."""
    return np.array_split(chosen, max(1, min(lines, -(-len(chosen) // size))))


def abreast(work: Callable[[Any], Any], parts: list[Any], gate: Gate) -> list[Any]:
    """`work` of all parts at once, with this thread's JAX settings; what each returned. Where one
    fails, or Ctrl-C is pressed, the gate is halted, the others end at their next look, and the
    error is raised."""
    gate.halted.clear()
    if len(parts) == 1:
        return [work(parts[0])]
    wide, device = jax.config.jax_enable_x64, jax.config.jax_default_device  # type: ignore[attr-defined]

    def line(part: Any) -> Any:
        with enable_x64(bool(wide)), jax.default_device(device):
            try:
                return work(part)
            except BaseException:
                gate.halted.set()
                raise

    with ThreadPoolExecutor(len(parts)) as pool:
        lines = [pool.submit(copy_context().run, line, part) for part in parts]
        try:
            wait(lines)
        except BaseException:
            gate.halted.set()
            raise
    return [one.result() for one in lines]
