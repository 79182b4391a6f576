"""Clocks: variants timed in turn, medians with their spread, and peak memory."""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

#: Seconds of rest before a variant is timed.
PAUSE = 0.1

#: Seconds up to which a variant is short.
SHORT = 0.3

#: A variant runs its work once and returns the seconds it took; NaN where it failed.
Variant = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated runs, in the order of the rounds."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.samples)


def clocked(work: Callable[[], Any]) -> Variant:
    """The variant that runs `work` and waits for its result."""

    def run() -> float:
        begun = time.perf_counter()
        jax.block_until_ready(work())
        return time.perf_counter() - begun

    return run


def interleaved(
    variants: dict[str, Variant], seconds: float = 15.0, least: int = 3, most: int = 25
) -> dict[str, Timing]:
    """Time A B C A B C ..., so that a slow spell of the machine meets all alike.

    A pause before each lets the threads of the one before go to sleep: BLAS libraries spin for a
    while after their work, and would take the cores of the next. One round warms up; then at least
    `least` rounds, at most `most`, until `seconds` are spent. A short variant is run once more
    before it is timed: the caches are then its own, as in the middle of a long fit. A variant that
    fails (NaN) is left out of later rounds and of the result.
    """
    alive = {name: run for name, run in variants.items() if run() >= 0}
    samples: dict[str, list[float]] = {name: [] for name in alive}
    begun = time.perf_counter()
    for done in range(most):
        if done >= least and time.perf_counter() - begun > seconds:
            break
        for name in list(alive):
            time.sleep(PAUSE)
            if samples[name] and samples[name][-1] < SHORT:
                alive[name]()
            value = alive[name]()
            if value >= 0:
                samples[name].append(value)
            else:
                del alive[name], samples[name]
    return {name: Timing(tuple(values)) for name, values in samples.items()}


def paired_ratio(a: Timing, b: Timing) -> float:
    """Median over rounds of a's seconds over b's: what the machine did to both cancels."""
    pairs = zip(a.samples, b.samples, strict=False)
    return statistics.median(x / y for x, y in pairs)


def process_peak() -> int:
    """Peak resident bytes since the process began."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
