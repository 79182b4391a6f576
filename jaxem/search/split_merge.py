"""After the race: the best fits have children, which differ by a split and a merge of components.

EM keeps components where they are: two that share one cluster while a third covers two clusters is
an optimum, and starts that avoid it by chance are rare. A split and a merge leave it at once, so
children of a few find what hundreds of starts miss. They take the places of starts that left the
race, and race among themselves; a generation's best are among the next one's parents. Who looks for
higher optima finds spurious ones too: what is near one is a parent only where there are few others,
and as a child ends as DEGENERATE.
"""

import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import OnLook, Store, put
from jaxem.core.status import SOUND, Status
from jaxem.search.race import BEHIND, by_group, distinct, promote, standing

#: Distinct fits of each data set that have children, at most.
PARENTS = 8

#: Of each data set, so large a share of the starts has children in its place, at most.
SHARE = 1 / 4

#: After so many iterations the race between children ends, and so large a share of them goes on.
LIMIT, PROMOTED = 10, 1 / 2


def breed(store: Store, max_iter: int, on_look: OnLook | None = None) -> None:
    """Advance as many generations of children of the best lanes as the store is to have.

    A store from a checkpoint goes on in the generation where it stood.
    """
    if store.generations == 0 or max_iter <= LIMIT:
        return
    if store.parent is None:
        store.parent, store.brood = np.full(len(store.groups), -1), np.zeros(0, int)
    while store.generation < store.generations:
        if store.brood.size == 0:
            scheduler.advance(store, store.alive, max_iter, on_look)
            _bear(store)
            if store.brood.size == 0:
                break
        scheduler.advance(store, store.brood, LIMIT, on_look)
        stand = standing(store, strict=True)
        store.alive = np.union1d(store.alive, promote(store, store.brood, _quotas(store), *stand))
        store.generation, store.brood = store.generation + 1, np.zeros(0, int)
    scheduler.advance(store, store.alive, max_iter, on_look)


def judged(store: Store, status: np.ndarray) -> np.ndarray:
    """Statuses i[lanes] in which children near a spurious maximum are DEGENERATE."""
    if store.parent is None:
        return status
    near = scheduler.spurious(store)[:, 1] & (store.parent >= 0) & np.isin(status, SOUND)
    return np.where(near, Status.DEGENERATE, status).astype(status.dtype)


def _bear(store: Store) -> None:
    """Put this generation's children into their places; none where there are none to take."""
    value, score = standing(store, strict=True)
    parents = _parents(store, value, score)
    places = _places(store, score, parents)
    most = np.ceil(SHARE * np.bincount(store.groups)).astype(int)
    parent, brood = store.parent.copy(), [np.zeros(0, int)]
    first = np.searchsorted(store.groups[places], np.arange(most.size + 1))
    for own in by_group(store, parents):
        group = store.groups[own[0]]
        taken = places[first[group] : min(first[group + 1], first[group] + most[group])]
        parent[taken] = np.resize(own, taken.size)
        brood.append(taken)
    lanes = np.sort(np.concatenate(brood))
    if lanes.size == 0:
        return
    children = scheduler.regroup(store, lanes, parent)
    # All at once: whoever interrupts this call finds starts or children, nothing between.
    store.spent += int(np.sum(store.runs.n_iter[lanes] + 1))
    put(store, lanes, np.arange(lanes.size), children)
    store.parent, store.brood, store.follows[lanes] = parent, lanes, -1


def _places(store: Store, score: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """By data set, the lowest first: starts that left the race, but for those whose path another
    one shares (how often an optimum was reached is counted by them); and children that failed."""
    status, child = store.runs.status, store.parent >= 0
    left = (status == Status.PRUNED) & (store.follows < 0)
    left[np.unique(store.follows[store.follows >= 0])] = False
    lost = child & ~(np.isin(status, SOUND) & (score > -BEHIND / 2))
    lanes = np.setdiff1d(np.flatnonzero(left | lost), parents)
    return lanes[np.lexsort((score[lanes], store.groups[lanes]))]


def _parents(store: Store, value: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The best distinct sound lanes of each data set, best first."""
    sound = np.flatnonzero(np.isin(store.runs.status, SOUND) & np.isfinite(value))
    weights, unused = store.runs.point.params.weights, store.follows.copy()
    out = [np.zeros(0, int)]
    for own in by_group(store, sound):
        out.append(distinct(own, value, score, weights, PARENTS, unused))
    return np.concatenate(out)


def _quotas(store: Store) -> np.ndarray:
    """i[groups]: by either ranking so many children go on."""
    children = np.bincount(store.groups[store.brood], minlength=store.groups.max() + 1)
    return np.ceil(PROMOTED * children / 2).astype(int)
