"""A variant in a process of its own, under a time limit: it may stall or die and harm nobody."""

import math
import multiprocessing
import os
from collections.abc import Callable
from typing import Any

#: The environment in which BLAS, whichever it is, keeps to one thread.
ONE_BLAS_THREAD = {
    name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
}


class Isolated:
    """`make(*arguments)` is called in a new process and must return a variant; calling this runs
    that variant there. NaN, for ever after, once it failed or took longer than `limit` seconds.
    `then` makes another variant in the same process, whose start is paid for."""

    def __init__(
        self,
        make: Callable,
        *arguments: Any,
        limit: float = 60.0,
        env: dict[str, str] | None = None,
    ) -> None:
        self.limit, self.trouble = limit, ""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        before = dict(os.environ)
        os.environ.update(env or {})
        try:
            self._process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()
        self._send((make, arguments))

    def then(self, make: Callable, *arguments: Any) -> None:
        """Make another variant; RuntimeError where the process is known to have ended."""
        if self.trouble:
            raise RuntimeError(self.trouble)
        self._send((make, arguments))

    def __call__(self) -> float:
        if self.trouble:
            return math.nan
        try:
            self._send(None)
            if not self._pipe.poll(self.limit):
                return self._fail(f"no result within {self.limit:g} s")
            value = self._pipe.recv()
        except (EOFError, OSError) as error:
            return self._fail(f"its process ended ({type(error).__name__})")
        return value if isinstance(value, float) else self._fail(value)

    def __enter__(self) -> "Isolated":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()

    def _send(self, wanted: Any) -> None:
        try:
            self._pipe.send(wanted)
        except BrokenPipeError:
            pass  # its process has ended: what that left to be read says why

    def _fail(self, trouble: str) -> float:
        self.trouble = trouble
        self._process.kill()
        return math.nan


def _serve(pipe: Any) -> None:
    """Make what is sent, run it where nothing is."""
    variant: Callable[[], float] | None = None
    try:
        while True:
            wanted = pipe.recv()
            if wanted is None and variant is not None:
                pipe.send(float(variant()))
            elif wanted is not None:
                variant = None  # the arrays of the one before go first
                make, arguments = wanted
                variant = make(*arguments)
    except EOFError:
        return
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}"[:300])
