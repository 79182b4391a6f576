"""An example, and EM one iteration at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import jax
from numpy.typing import ArrayLike

from jaxem.core.status import Status
from jaxem.engine.loop import em
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Say = Callable[[str], None]
R = TypeVar("R")


@dataclass(frozen=True)
class Example(Generic[R]):
    """`run(say)` tells the example line by line; `draw` makes matplotlib figures, by file name,
    from the result of `run`."""

    name: str
    title: str
    run: Callable[[Say], R]
    draw: Callable[[R], dict[str, "Figure"]]


def iterations(
    model: Mixture,
    params: MixtureParams,
    x: ArrayLike,
    *,
    tol: float,
    stop: str = "parameters",
    max_iter: int = 1000,
    assignment: str = "soft",
) -> Iterator[Fit]:
    """The fit at the start, then after each EM iteration until the rule `stop` is met.

    Each is a call of `jaxem.em`, whose limits are traced: all calls run one compiled program.
    """
    step = partial(em, model, x=x, tol=tol, stop=stop, assignment=assignment)
    fit = step(params, max_iter=0)
    yield fit
    for _ in range(max_iter):
        fit = step(fit.params, max_iter=1)
        yield fit
        if fit.status != Status.MAX_ITER:
            return


def column(fits: list[Fit], pick: Callable[[MixtureParams], jax.Array]) -> list[float]:
    """One number of the parameters of every fit, for a picture."""
    return [float(pick(fit.params)) for fit in fits]
