"""The winner of each data set, at the top of its path.

A run stops when its gain falls below `tol`; on a flat optimum there is then many times that left to
gain, and the best of many starts is short of the optimum that its own path leads to. So the few
starts that may be the best run on, until Aitken's prediction of the rest is below `LEFT` nats.
"""

from dataclasses import dataclass

import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import Runs
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.results.fit import Fit
from jaxem.search import refine
from jaxem.search.race import still_to_gain
from jaxem.search.split_merge import near_spurious
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


@dataclass(frozen=True)
class Winners:
    """Contenders for the best of each data set run on, by at most `max_iter` iterations in all."""

    max_iter: int
    dtype: object = None  # in which parameters are reported

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """Choose the contenders, once."""
        if bool(state.winners.begun):
            return None
        fits, condition = concluded(runs, state, self.dtype)
        chosen = contenders(runs, fits)
        own = WinnersState(True, chosen, fits.status[chosen] if chosen.size else NONE)
        state = replace(state, winners=own, advance=Advance(chosen, self.max_iter, LEFT))
        return Move(state, Verdicts(chosen, Status.RUNNING), concluded=(fits, condition))


def concluded(runs: Runs, state: SearchState, dtype: object = None) -> tuple[Fit, np.ndarray]:
    """The `Fit` of every lane as it stands, and its condition f[lanes]."""
    fits, condition = scheduler.conclude(runs, dtype)
    return replace(fits, status=near_spurious(runs, state, fits.status)), condition


def contenders(runs: Runs, fits: Fit) -> np.ndarray:
    """Numbers of the lanes that may be the best of their data set: the first, and those that could
    still pass it by the gain that they may have left."""
    batch = runs.batch
    ended = np.isin(fits.status, (Status.CONVERGED, Status.STALLED))
    value = np.where(ended, np.asarray(fits.objective, np.float64), -np.inf)
    left = still_to_gain(runs.run) + 10 * float(batch.control.tol)
    weight = np.asarray(batch.grid.prepared.weight, float)
    weight = weight if batch.shares_data else weight[batch.groups]
    marks = signature(batch.grid.model, fits.params)
    return refine.contenders(value, batch.groups, weight * left, marks)


def with_winners(
    runs: Runs,
    state: SearchState,
    before: tuple[Fit, np.ndarray],
    dtype: object = None,
) -> tuple[Fit, np.ndarray]:
    """`before`, the fits and conditions when the contenders were chosen, with the contenders as
    they ended."""
    lanes, (fits, condition) = state.winners.lanes, before
    if lanes.size == 0:
        return before
    status = np.array(fits.status)
    status[lanes] = state.winners.verdicts
    ended, own = scheduler.conclude(runs, dtype, lanes)
    condition = np.array(condition)
    condition[lanes] = own
    return put_back(replace(fits, status=status), ended, lanes), condition


def put_back(fits: Fit, ended: Fit, lanes: np.ndarray) -> Fit:
    """`fits` with the contenders as they ended. One that had met the stopping rule has met it
    still, wherever going on came to its end."""
    now = np.asarray(ended.status)
    keep = ~np.isin(now, (Status.CONVERGED, Status.DEGENERATE))
    status = np.where(keep, fits.status[lanes], now).astype(now.dtype)
    return fits.put(lanes, replace(ended, status=status))
