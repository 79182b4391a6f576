"""What compilation costs, apart from what running costs."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import jax


@dataclass
class Compilations:
    """Seconds spent tracing, lowering and compiling, and the programs compiled."""

    seconds: float = 0.0
    programs: int = 0


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


def _on_event(event: str, duration_secs: float, **kwargs: Any) -> None:
    if event.startswith("/jax/core/compile/"):
        for count in _watching.get():
            count.seconds += duration_secs
            count.programs += event.endswith("backend_compile_duration")
