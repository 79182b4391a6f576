"""The winner of each data set, at the top of its path.

A run stops when its gain falls below `tol`; on a flat optimum what is left to gain is then many
times that, and the best of many starts is short of what its own path leads to. So the few starts
that may be the best run on, until Aitken's prediction of what is left is below `LEFT` nats.
"""

import jax
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import OnLook, Store
from jaxem.core.pytree import replace
from jaxem.core.status import Status
from jaxem.results.fit import Fit
from jaxem.search import refine
from jaxem.search.race import still_to_gain

#: Nats that a winner may have left to gain.
LEFT = 1e-6


def contenders(store: Store, fits: Fit) -> np.ndarray:
    """Numbers of the lanes that may be the best of their data set: the first, and those that could
    still pass it by what they may have left to gain."""
    ended = np.isin(fits.status, (Status.CONVERGED, Status.STALLED))
    value = np.where(ended, np.asarray(fits.objective, np.float64), -np.inf)
    left = still_to_gain(store.runs) + 10 * float(store.control.tol)
    weight = np.asarray(store.grid.prepared.weight, float)
    weight = weight if store.grid.shared else weight[store.groups]
    sizes = np.sort(fits.params.weights, axis=1)
    return refine.contenders(value, store.groups, weight * left, sizes)


def settle(store: Store, fits: Fit, max_iter: int, on_look: OnLook | None = None) -> np.ndarray:
    """Run the contenders on, by at most `max_iter` iterations in all; returns their numbers.

    A store from a checkpoint goes on with those that it had chosen.
    """
    if store.contenders is None:
        chosen = contenders(store, fits)
        store.verdicts, store.contenders = store.runs.status[chosen], chosen
        store.runs.status[chosen] = Status.RUNNING
    control = store.control
    store.control = replace(control, remaining=LEFT)
    try:
        scheduler.advance(store, store.contenders, max_iter, on_look)
    finally:
        store.control = control
    return store.contenders


def settled(
    store: Store, fits: Fit, condition: np.ndarray, max_iter: int, dtype=None, on_look=None
) -> tuple[Fit, np.ndarray]:
    """`fits` and their conditions f[lanes], the contenders run on; see `schedule.conclude`."""
    lanes = settle(store, fits, max_iter, on_look)
    if lanes.size == 0:
        return fits, condition
    status = np.array(fits.status)
    status[lanes] = store.verdicts
    fits = replace(fits, status=status)
    ended, own = scheduler.conclude(store, dtype, lanes)
    condition = np.array(condition)
    condition[lanes] = own
    return put_back(fits, ended, lanes), condition


def put_back(fits: Fit, ended: Fit, lanes: np.ndarray) -> Fit:
    """`fits` with the contenders as they ended. One that had met the stopping rule has met it
    still, wherever going on came to its end."""
    now = np.asarray(ended.status)
    keep = ~np.isin(now, (Status.CONVERGED, Status.DEGENERATE))
    ended = replace(ended, status=np.where(keep, fits.status[lanes], now).astype(now.dtype))

    def put(old, new):
        out = np.array(old)
        out[lanes] = new
        return out

    apart = dict(report=None, follows=None, parent=None)
    merged = jax.tree.map(put, replace(fits, **apart), replace(ended, **apart))
    return replace(merged, report=fits.report, follows=fits.follows, parent=fits.parent)
