"""`Winners`: lanes that may be the best of their data set run on, past `tol`.

A run stops when its gain falls below `tol`. On a flat optimum many times `tol` is then left to
gain, and the best of many starts is below the optimum that its path leads to. So the few starts
that may be the best run on, until Aitken's prediction of the gain that is left is below `LEFT`
nats.
"""

from dataclasses import dataclass

import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import Runs
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import Size
from jaxem.results.fit import Fit
from jaxem.search import refine
from jaxem.search.race import still_to_gain
from jaxem.search.split_merge import with_degenerate
from jaxem.search.strategy import (
    NONE,
    Advance,
    Move,
    SearchState,
    Verdicts,
    WinnersState,
    signature,
)

#: Nats that a winner may have left to gain.
LEFT = 1e-6

#: The same where a winner then goes on in float64, whose steps cost several of float32.
LEFT_BEFORE_FLOAT64 = 1.0


@dataclass(frozen=True)
class Winners:
    """Contenders for the best of each data set run on, by at most `max_iter` iterations in all."""

    max_iter: Size
    left: float = LEFT

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """Choose the contenders, once."""
        if bool(state.winners.begun):
            return None
        fits, condition = concluded(runs, state)
        chosen = contenders(runs, fits)
        winners = WinnersState(True, chosen, fits.status[chosen] if chosen.size else NONE)
        state = replace(state, winners=winners, advance=Advance(chosen, self.max_iter, self.left))
        return Move(state, Verdicts(chosen, Status.RUNNING), concluded=(fits, condition))


def concluded(runs: Runs, state: SearchState) -> tuple[Fit, np.ndarray]:
    """The `Fit` of every lane at its present parameters, and its condition f[lanes]."""
    fits, condition = scheduler.conclude(runs)
    return replace(fits, status=with_degenerate(runs, state, fits.status)), condition


def contenders(runs: Runs, fits: Fit) -> np.ndarray:
    """Numbers of the lanes that may be the best of their data set: the first, and lanes that could
    still pass it by the gain that they have left."""
    batch = runs.batch
    ended = np.isin(fits.status, (Status.CONVERGED, Status.STALLED))
    value = np.where(ended, np.asarray(fits.objective, np.float64), -np.inf)
    left = still_to_gain(runs.run) + 10 * float(batch.control.tol)
    weight = batch.grid.weights(batch.groups)
    signatures = signature(batch.grid.model, fits.params)
    return refine.contenders(value, batch.groups, weight * left, signatures)


def with_winners(
    runs: Runs, state: SearchState, before: tuple[Fit, np.ndarray]
) -> tuple[Fit, np.ndarray]:
    """Fits and conditions, with the contenders as they have ended; `before`, the same when the
    contenders were chosen."""
    lanes, (fits, condition) = state.winners.lanes, before
    if lanes.size == 0:
        return before
    status = np.array(fits.status)
    status[lanes] = state.winners.verdicts
    ended, ended_condition = scheduler.conclude(runs, lanes)
    condition = np.array(condition)
    condition[lanes] = ended_condition
    return put_back(replace(fits, status=status), ended, lanes), condition


def put_back(fits: Fit, ended: Fit, lanes: np.ndarray) -> Fit:
    """`fits` with the contenders as they have ended. A contender that ends neither CONVERGED nor
    DEGENERATE keeps the status it had when it was chosen."""
    now = np.asarray(ended.status)
    keep = ~np.isin(now, (Status.CONVERGED, Status.DEGENERATE))
    status = np.where(keep, fits.status[lanes], now).astype(now.dtype)
    return fits.put(lanes, replace(ended, status=status))
