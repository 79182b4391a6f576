"""Wall time with XLA's compile time apart, by JAX's own monitoring events."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring

_PREFIX = "/jax/core/compile/"


class Clock:
    """Seconds since the start, and how many of them went into tracing and compiling."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._spans: list[tuple[float, float]] = []

    def hear(self, event: str, duration_secs: float, **_: object) -> None:
        """Note one event of JAX, which is told when it ends."""
        if event.startswith(_PREFIX):
            end = time.perf_counter()
            self._spans.append((end - duration_secs, end))

    def seconds(self) -> float:
        """Wall time so far."""
        return time.perf_counter() - self._began

    def compiling(self) -> float:
        """Time covered by tracing and compiling; nested events count once."""
        total, reached = 0.0, self._began
        for start, end in sorted(self._spans):
            total += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return total


@contextmanager
def clock() -> Iterator[Clock]:
    """A Clock that listens while the block runs."""
    one = Clock()
    jax.monitoring.register_event_duration_secs_listener(one.hear)
    try:
        yield one
    finally:
        jax.monitoring.unregister_event_duration_listener(one.hear)
