"""The progress line on a terminal while a long call runs: fits ended, best so far, time left."""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import numpy as np

from jaxem.batch.state import Runs
from jaxem.core.status import SOUND, Status

#: The line appears after this time and is renewed at this interval.
SECONDS = 1.0


def reporter(progress: bool | None, stream: TextIO | None = None) -> Callable[[Runs], None] | None:
    """A function of the runs that renews the line; None where there is no terminal to watch it.

    `progress` None means: only when stderr is a terminal.
    """
    out = sys.stderr if stream is None else stream
    if out is None or progress is False or (progress is None and not out.isatty()):
        return None
    begun = last = time.monotonic()

    def look(runs: Runs) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS:
            return
        last = now
        out.write("\r" + line(runs, now - begun) + "\x1b[K")
        out.flush()

    return look


def clear(look: Callable[[Runs], None] | None, stream: TextIO | None = None) -> None:
    """Remove the line that `look`, a `reporter`, has written."""
    out = sys.stderr if stream is None else stream
    if look is not None and out is not None and out.isatty():
        out.write("\r\x1b[K")
        out.flush()


def line(runs: Runs, seconds: float) -> str:
    """The text: fits ended, fits in all, best mean objective of a sound fit, time gone and left."""
    status = runs.run.status
    done, total = int(np.sum(status != Status.RUNNING)), status.size
    text = f"jaxem: {done}/{total} fits ended, {seconds:.0f} s"
    sound = np.isin(status, SOUND)
    if sound.any():
        point = runs.run.point
        best = (point.ll_reference + point.ll_offset + point.log_prior)[sound].max()
        text += f", best mean objective {best:.6g}"
    if done:
        text += f", about {seconds * (total - done) / done:.0f} s left"
    return text
