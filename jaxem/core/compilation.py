"""The cost of compilation, measured apart from the cost of running; JAX's persistent cache."""

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import jax

#: End of the name of JAX's event for a program compiled, or read from its persistent cache.
COMPILED = "backend_compile_duration"


@dataclass
class Compilations:
    """Seconds spent tracing, lowering and compiling, and the programs compiled."""

    programs: int = 0
    spells: list[tuple[float, float]] = field(default_factory=list)  # begun, ended; disjoint

    @property
    def seconds(self) -> float:
        """The total length of all spells."""
        return sum(ended - begun for begun, ended in self.spells)

    def add(self, begun: float, ended: float) -> None:
        """Add a spell that has just ended. It absorbs the spells inside it, such as an inner
        program."""
        while self.spells and self.spells[-1][0] >= begun:
            self.spells.pop()
        if self.spells:
            begun = max(begun, self.spells[-1][1])
        self.spells.append((begun, max(begun, ended)))


_watching: ContextVar[tuple[Compilations, ...]] = ContextVar("watching", default=())


@contextmanager
def compilations() -> Iterator[Compilations]:
    """Count what JAX compiles in this thread inside the `with` block."""
    _listen_once()
    count = Compilations()
    token = _watching.set((*_watching.get(), count))
    try:
        yield count
    finally:
        _watching.reset(token)


@functools.cache
def _listen_once() -> None:
    jax.monitoring.register_event_duration_secs_listener(_on_event)


_all = Compilations()
_lock = threading.Lock()


def programs_so_far() -> int:
    """Number of programs that this process has compiled, by any caller, since the first call of
    this function or of `compilations`."""
    _listen_once()
    return _all.programs


def _on_event(event: str, duration_secs: float, **kwargs: object) -> None:
    if event.startswith("/jax/core/compile/"):
        now = time.perf_counter()
        with _lock:  # programs are compiled in several threads
            for count in _watching.get():
                count.add(now - duration_secs, now)
                count.programs += event.endswith(COMPILED)
            _all.programs += event.endswith(COMPILED)


def enable_compilation_cache(path: str | Path | None = None) -> Path:
    """Keep compiled programs in `path` between processes: the second run of a script compiles
    nothing. None: `jaxem` in the user's cache folder. Returns the folder; OSError when it cannot
    be made. This sets JAX's own persistent cache, for the whole process.

    >>> jaxem.enable_compilation_cache().name
    'jaxem'
    """
    if path is None:
        path = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxem"
    folder = Path(path).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder
