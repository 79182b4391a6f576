"""The race: short runs of every start, then the best distinct ones to the end.

Successive halving over starts (Jamieson and Talwalkar 2016, AISTATS), as tclust ships it for one
rung (500 starts × 3 steps, then the best 5). A start that is not promoted keeps its parameters and
likelihood, with status PRUNED.
"""

import numpy as np

from jaxem import schedule
from jaxem.schedule import OnLook, Store
from jaxem.status import SOUND, Status

#: After so many iterations a rung ends, and so large a share of each data set's starts goes on.
RUNGS = ((10, 1 / 2), (30, 1 / 4), (90, 1 / 8))

#: Of each data set, so many starts go on whatever the share.
KEEP = 16

#: Objectives this close (relative, per unit weight) belong to one path: one lane runs it for all.
SAME = 1e-5


def run(store: Store, max_iter: int, enabled: bool, on_look: OnLook | None = None) -> None:
    """Advance all lanes of the store: each to its end, or as a race when enabled.

    A store from a checkpoint goes on in the rung where it stood.
    """
    if store.alive is None:
        store.alive = np.arange(len(store.groups))
        store.follows = np.full(len(store.groups), -1)
    while enabled and store.rung < len(RUNGS) and RUNGS[store.rung][0] < max_iter:
        limit, share = RUNGS[store.rung]
        schedule.advance(store, store.alive, limit, on_look)
        store.alive = _promote(store, store.alive, share)
        store.rung += 1
    schedule.advance(store, store.alive, max_iter, on_look)


def _promote(store: Store, alive: np.ndarray, share: float) -> np.ndarray:
    """The lanes that run on; the others become PRUNED (unless they have ended by themselves)."""
    runs = store.runs
    value = runs.point.level + runs.point.rest + runs.point.log_prior
    able = alive[np.isin(runs.status[alive], (Status.RUNNING, *SOUND))]
    kept = [np.zeros(0, int)]
    totals = np.bincount(store.groups)
    for own in np.split(able, np.flatnonzero(np.diff(store.groups[able])) + 1):
        if own.size:
            quota = max(KEEP, int(np.ceil(share * totals[store.groups[own[0]]])))
            kept.append(_distinct(own, value, runs.point.params.weights, quota, store.follows))
    chosen = np.sort(np.concatenate(kept))
    left = np.setdiff1d(alive, chosen)
    left = left[runs.status[left] == Status.RUNNING]
    runs.status[left] = Status.PRUNED
    return chosen


def _distinct(own, value, weights, quota, follows) -> np.ndarray:
    """Up to `quota` lanes, best first, without those that repeat a better one's path; those are
    noted in `follows`."""
    order = own[np.argsort(-np.where(np.isfinite(value[own]), value[own], -np.inf), kind="stable")]
    sizes = np.sort(weights[order], axis=-1)
    chosen: list[int] = []
    for i in range(len(order)):
        leader = _leader(i, chosen, value[order], sizes)
        if leader is not None:
            follows[order[i]] = order[leader]
        elif len(chosen) < quota:
            chosen.append(i)
    return order[chosen]


def _leader(i, chosen, value, sizes) -> int | None:
    """The chosen lane, if any, of the same objective and weights to a near thing."""
    for j in reversed(chosen):
        if value[j] - value[i] > SAME * (1 + abs(value[i])):
            return None
        if np.abs(sizes[j] - sizes[i]).max() < 1e-3:
            return j
    return None
