"""The race: short runs of every start, then the best distinct ones to the end.

Successive halving over starts (Jamieson and Talwalkar 2016, AISTATS), as tclust ships it for one
rung (500 starts × 3 steps, then the best 5). Half of the places go to the highest objectives, half
to the highest predicted ones. A start that is not promoted keeps its parameters and likelihood,
with status PRUNED. No ranking finds an optimum that one start in hundreds reaches after a long
plateau: on heavily overlapping components run all starts (`race=False`).
"""

import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import OnLook, Store
from jaxem.core.status import SOUND, Status

#: After so many iterations a rung ends, and so large a share of each data set's starts goes on.
RUNGS = ((10, 1 / 2), (20, 1 / 4))

#: Of each data set, so many starts by either ranking go on whatever the share.
KEEP = 16

#: The same where the best have children, which need the places.
FEW = 4

#: So far behind all others, in mean objective, ranks what stands near a spurious maximum.
BEHIND = 1e6

#: Objectives this close (relative, per unit weight) belong to one path: one lane runs it for all.
SAME = 1e-5


def run(store: Store, max_iter: int, enabled: bool, on_look: OnLook | None = None) -> None:
    """Advance all lanes of the store: each to its end, or as a race when enabled.

    A store from a checkpoint goes on in the rung where it stood; one whose best lanes have children
    (see `jaxem.search.split_merge`) is beyond the race.
    """
    if store.parent is not None:
        return
    if store.alive is None or store.follows is None:
        store.alive = np.arange(len(store.groups))
        store.follows = np.full(len(store.groups), -1)
    while enabled and store.rung < len(RUNGS) and RUNGS[store.rung][0] < max_iter:
        limit, share = RUNGS[store.rung]
        scheduler.advance(store, store.alive, limit, on_look)
        totals = np.bincount(store.groups)
        least = KEEP if store.generations == 0 else FEW
        quotas = np.maximum(least, np.ceil(share * totals / 2)).astype(int)
        store.alive = promote(store, store.alive, quotas, *standing(store))
        store.rung += 1
    scheduler.advance(store, store.alive, max_iter, on_look)
    again = _without_winner(store) if enabled else np.zeros(0, int)
    if again.size:
        store.runs.status[again] = Status.RUNNING
        store.alive = np.union1d(store.alive, again)
        scheduler.advance(store, again, max_iter, on_look)


def _without_winner(store: Store) -> np.ndarray:
    """The pruned lanes of data sets in which no lane of the race ended sound."""
    status, groups = store.runs.status, store.groups
    winner = np.isin(status, SOUND) & ~scheduler.spurious(store)[:, 0]
    lost = np.bincount(groups, weights=winner) == 0
    return np.flatnonzero(lost[groups] & (status == Status.PRUNED))


def promote(store: Store, alive, quotas, value, score) -> np.ndarray:
    """The lanes that run on, of each data set up to its quota i[groups] by their standing and by
    what it may become; the others become PRUNED (unless they have ended by themselves)."""
    runs, follows = store.runs, store.follows
    scores = score, score + still_to_gain(runs)
    able = alive[np.isin(runs.status[alive], (Status.RUNNING, *SOUND))]
    kept = [np.zeros(0, int)]
    for own in by_group(store, able):
        quota, weights = quotas[store.groups[own[0]]], runs.point.params.weights
        for score in scores:
            kept.append(distinct(own, value, score, weights, quota, follows))
    chosen = np.unique(np.concatenate(kept))
    follows[chosen] = -1
    left = np.setdiff1d(alive, chosen)
    left = left[runs.status[left] == Status.RUNNING]
    runs.status[left] = Status.PRUNED
    return chosen


def standing(store: Store, strict: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The mean objective of every lane, and what it ranks by: −∞ at spurious maxima, which no
    winner may be and which go on only where places are left. `strict` ranks those near one behind
    all others."""
    point, (at_one, near) = store.runs.point, scheduler.spurious(store).T
    value = np.where(at_one, -np.inf, point.level + point.rest + point.log_prior)
    return value, value.astype(np.float64) - BEHIND * near if strict else value


def by_group(store: Store, lanes: np.ndarray) -> list[np.ndarray]:
    """Lanes in ascending order, by data set."""
    if lanes.size == 0:
        return []
    return np.split(lanes, np.flatnonzero(np.diff(store.groups[lanes])) + 1)


def still_to_gain(runs) -> np.ndarray:
    """Aitken's prediction g·a/(1−a), a = g_t/g_{t−1}: slow climbers that will pass the others."""
    gain, before = runs.gain, runs.gain_before
    known = np.isfinite(gain) & np.isfinite(before) & (gain > 0) & (before > 0)
    ratio = np.divide(gain, before, out=np.zeros_like(gain), where=known)
    ratio = np.clip(ratio, 0, 0.99)
    return np.where(known, gain, 0) * ratio / (1 - ratio)


def distinct(own, value, score, weights, quota, follows) -> np.ndarray:
    """Up to `quota` lanes, best score first, without those that repeat another one's path; those
    are noted in `follows`."""
    order = own[np.argsort(-np.where(np.isfinite(score[own]), score[own], -np.inf), kind="stable")]
    value, sizes = value[order], np.sort(weights[order], axis=-1)
    leader, chosen = np.full(len(order), -1), []
    for i in range(len(order)):
        if leader[i] < 0:
            if len(chosen) == quota:
                break
            chosen.append(i)
            # Whoever is like several of the chosen follows the last of them.
            leader[_like(i, value, sizes)] = i
    found = leader >= 0
    follows[order[found]] = order[leader[found]]
    return order[chosen]


def _like(i: int, value: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The lanes after i of the same objective and weights to a near thing."""
    if not np.isfinite(value[i]):
        return np.zeros(0, int)
    rest = value[i + 1 :]
    close = np.isfinite(rest) & (np.abs(rest - value[i]) <= SAME * (1 + np.abs(rest)))
    near = i + 1 + np.flatnonzero(close)
    return near[np.abs(sizes[near] - sizes[i]).max(axis=1, initial=0) < 1e-3]
