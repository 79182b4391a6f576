"""Room for compiled programs: those of this package are dropped before a process has no more.

A program for CPUs takes some 40 memory maps of the process. Linux allows 65,530, and XLA ends the
process when it gets no more ("Unable to allocate section memory"); a `fit` of a new length takes
600 of them and 40 MB. So the functions that a loop over many shapes calls look, when they begin,
at how many there are. What is dropped is compiled again when it is next needed, to the same bits.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import jax
from jax.core import Tracer

from jaxem.core.compilation import programs_so_far
from jaxem.core.compiled import drop

P = ParamSpec("P")
R = TypeVar("R")

#: What Linux allows unless told otherwise. Of more we make no use: memory would go first.
USUAL = 65_530


@dataclass
class Keeper:
    """When programs are dropped. The fields may be changed while a process runs: tests do."""

    #: So many programs are compiled between two looks: no look costs a call anything that counts.
    every: int = 32

    #: Memory maps that the process may have; None: what the system allows.
    limit: int | None = None

    #: Where maps cannot be counted (not Linux), so many programs are kept.
    programs: int = 800

    #: With more than this share of the maps in use by others, JAX's caches are emptied whole.
    crowded: float = 0.7

    drops: int = 0  #: how often the package's programs were dropped,
    emptied: int = 0  #: and how often all of JAX's
    looked: int = -32  # programs there had been at the last look; the first call always looks
    dropped: int = 0  # and at the last drop
    left: int = 0  # maps in use after the last drop
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Drop what there is if it takes more than half of the room that the last drop left."""
        self.looked = programs_so_far()
        used, limit = maps_in_use(), self.limit or maps_allowed()
        if used is None:
            if self.looked - self.dropped > self.programs:
                self._drop()
        elif used > (self.left + limit) / 2:
            self._drop()
            # Single operations outside of any program, such as a logsumexp, are compiled by JAX
            # alone, which forgets them only together with the programs of the caller.
            if (maps_in_use() or 0) > self.crowded * limit:
                jax.clear_caches()
                self.emptied += 1
            self.left = maps_in_use() or 0

    def _drop(self) -> None:
        drop()
        self.drops, self.dropped = self.drops + 1, self.looked


#: The one of this process.
KEEPER = Keeper()


def make_room() -> None:
    """Drop compiled programs where many have come to be: a line at the beginning of whatever may be
    called with ever new shapes. Does nothing while the caller's own program is traced."""
    if programs_so_far() - KEEPER.looked < KEEPER.every or _tracing():
        return
    if KEEPER.lock.acquire(blocking=False):  # else another thread is at it
        try:
            KEEPER.look()
        finally:
            KEEPER.lock.release()


def roomy(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which makes room when it is called."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        make_room()
        return function(*args, **kwargs)

    return call


def maps_in_use() -> int | None:
    """Memory maps of this process; None where the system does not tell."""
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return None


def maps_allowed() -> int:
    """Memory maps that this process may have; at most `USUAL`."""
    try:
        return min(USUAL, int(Path("/proc/sys/vm/max_map_count").read_text()))
    except (OSError, ValueError):
        return USUAL


def _tracing() -> bool:
    return isinstance(jax.device_put(0.0), Tracer)
