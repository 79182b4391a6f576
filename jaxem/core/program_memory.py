"""Memory for compiled programs: the package drops its own before the process runs out of maps.

A compiled CPU program takes about 40 memory maps of the process. Linux allows 65,530, and XLA ends
the process when it gets no more ("Unable to allocate section memory"). A `fit` of a new length
takes 600 maps and 40 MB. Functions that are called in loops over many shapes therefore count the
maps when they begin. A dropped program is compiled again when it is next needed, to the same bits.
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

#: Memory maps that Linux allows by default. A higher limit is not used: memory would run out first.
DEFAULT_LIMIT = 65_530


@dataclass
class Keeper:
    """Decides when programs are dropped. The fields may be changed while a process runs."""

    #: Programs compiled between two counts of the maps, so that counting costs little.
    every: int = 32

    #: Memory maps that the process may have; None: the limit of the system.
    limit: int | None = None

    #: Number of programs that are kept where maps cannot be counted (outside Linux).
    programs: int = 800

    #: Share of the maps still in use after a drop above which all of JAX's caches are cleared.
    crowded: float = 0.7

    drops: int = 0  #: number of drops of the package's programs
    emptied: int = 0  #: number of times that all of JAX's caches were cleared
    looked: int = -32  # programs compiled at the last count; the first call always counts
    dropped: int = 0  # programs compiled at the last drop
    left: int = 0  # maps in use after the last drop
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Count the maps; drop programs once over half of the room left by the last drop is
        used."""
        self.looked = programs_so_far()
        used, limit = maps_in_use(), self.limit or maps_allowed()
        if used is None:
            if self.looked - self.dropped > self.programs:
                self._drop()
        elif used > (self.left + limit) / 2:
            self._drop()
            # JAX compiles single operations outside of any program, such as a logsumexp, itself,
            # and forgets them only together with the programs of the caller.
            if (maps_in_use() or 0) > self.crowded * limit:
                jax.clear_caches()
                self.emptied += 1
            self.left = maps_in_use() or 0

    def _drop(self) -> None:
        drop()
        self.drops, self.dropped = self.drops + 1, self.looked


#: The keeper of this process.
KEEPER = Keeper()


def make_room() -> None:
    """Drop compiled programs where there are many: the first line of a function that may be called
    with many shapes. Does nothing while the caller's own program is traced."""
    if programs_so_far() - KEEPER.looked < KEEPER.every or _tracing():
        return
    if KEEPER.lock.acquire(blocking=False):  # another thread may be counting
        try:
            KEEPER.look()
        finally:
            KEEPER.lock.release()


def roomy(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, with `make_room` called first."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        make_room()
        return function(*args, **kwargs)

    return call


def maps_in_use() -> int | None:
    """Memory maps of this process; None where the system does not report them."""
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return None


def maps_allowed() -> int:
    """Memory maps that this process may have; at most `DEFAULT_LIMIT`."""
    try:
        return min(DEFAULT_LIMIT, int(Path("/proc/sys/vm/max_map_count").read_text()))
    except (OSError, ValueError):
        return DEFAULT_LIMIT


def _tracing() -> bool:
    return isinstance(jax.device_put(0.0), Tracer)
