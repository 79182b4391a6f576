"""What an example is, and EM one iteration at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax

from jaxem.core.status import Status
from jaxem.engine.loop import em
from jaxem.results.fit import Fit

Say = Callable[[str], None]


@dataclass(frozen=True)
class Example:
    """`run(say)` tells the example line by line and returns what `draw` needs.

    `draw(result)` gives matplotlib figures by file name.
    """

    name: str
    title: str
    run: Callable[[Say], Any]
    draw: Callable[[Any], dict[str, Any]]


def iterations(
    model: Any, params: Any, x: Any, *, tol: float, stop: str = "parameters", max_iter: int = 1000
) -> Iterator[Fit]:
    """The fit at the start, then after each EM iteration until the rule `stop` is met.

    Each is one step of `jaxem.em`, whose limits are traced: all of them run one program.
    """
    fit = em(model, params, x, tol=tol, stop=stop, max_iter=0)
    yield fit
    for _ in range(max_iter):
        fit = em(model, fit.params, x, tol=tol, stop=stop, max_iter=1)
        yield fit
        if fit.status != Status.MAX_ITER:
            return


def column(fits: list[Fit], pick: Callable[[Any], jax.Array]) -> list[float]:
    """One number of the parameters of every fit, for a picture."""
    return [float(pick(fit.params)) for fit in fits]
