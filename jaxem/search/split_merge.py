"""After the race: proposals that split and merge components of the best fits (Ueda et al. 2000).

EM keeps components where they are: two that share one cluster while a third covers two clusters is
an optimum, and starts that avoid it by chance are rare. A split and a merge leave it at once, so
proposals from a few fits find what hundreds of starts miss. They take the slots of starts that left
the race, and race among themselves; a generation's best are among the next one's parents. Searching
raises the risk of spurious maxima. Near-spurious fits become parents last, and near-spurious
proposals end DEGENERATE.
"""

from dataclasses import dataclass

import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import Runs
from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.search.race import NEAR_SPURIOUS_PENALTY, Standing, by_group, distinct, promote
from jaxem.search.strategy import NONE, Advance, Move, Placed, SearchState, Verdicts, signature

#: Distinct fits of each data set that are parents, at most.
MAX_PARENTS = 8

#: Fraction of each data set's starts whose slots proposals take, at most.
MAX_FRACTION = 1 / 4

#: Iterations after which the race between proposals ends, and the fraction promoted.
RACE_ITERATIONS, PROMOTED = 10, 1 / 2


@dataclass(frozen=True)
class SplitMerge:
    """As many generations of proposals as asked for, each raced and then run to its end."""

    generations: int
    max_iter: int
    key: object  # a JAX random key

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """Judge the candidates there are, else place the next generation's."""
        if self.generations == 0 or self.max_iter <= RACE_ITERATIONS:
            return None
        if state.split_merge.candidates.size:
            return self._judge(runs, state)
        if state.split_merge.generation >= self.generations:
            return None
        return self._place(runs, state)

    def _judge(self, runs: Runs, state: SearchState) -> Move:
        """The best candidates run on, beside the lanes that raced before."""
        own, race = state.split_merge, state.race
        quotas, standing = _quotas(runs, own.candidates), Standing.of(runs, strict=True)
        promotion = promote(runs, own.candidates, race.follows, quotas, standing)
        racing = np.union1d(race.racing, promotion.lanes)
        race = replace(race, racing=racing, follows=promotion.follows)
        own = replace(own, generation=int(own.generation) + 1, candidates=NONE)
        state = replace(state, race=race, split_merge=own, advance=Advance(racing, self.max_iter))
        return Move(state, Verdicts(promotion.pruned, Status.PRUNED))

    def _place(self, runs: Runs, state: SearchState) -> Move | None:
        """Candidates in their slots; None where there is no parent or no slot."""
        own, race = state.split_merge, state.race
        lanes, parent = _slots_of_parents(runs, state)
        if lanes.size == 0:
            return None
        candidates = scheduler.propose(runs, lanes, parent, self.key, int(own.generation))
        discarded = int(own.discarded_iterations) + int(np.sum(runs.run.n_iter[lanes] + 1))
        own = replace(own, parent=parent, candidates=lanes, discarded_iterations=discarded)
        follows = race.follows.copy()
        follows[lanes] = -1
        race, advance = replace(race, follows=follows), Advance(lanes, RACE_ITERATIONS)
        state = replace(state, race=race, split_merge=own, advance=advance)
        return Move(state, placed=Placed(lanes, candidates))


def near_spurious(runs: Runs, state: SearchState, status: np.ndarray) -> np.ndarray:
    """Statuses i[lanes] in which proposals near a spurious maximum are DEGENERATE."""
    child = state.split_merge.parent >= 0
    if not child.any():
        return status
    near = scheduler.spurious(runs)[:, 1] & child & np.isin(status, SOUND)
    return np.where(near, Status.DEGENERATE, status).astype(status.dtype)


def _slots_of_parents(runs: Runs, state: SearchState) -> tuple[np.ndarray, np.ndarray]:
    """The slots that this generation's proposals take, and whose child a lane is then i[lanes]."""
    groups, standing = runs.batch.groups, Standing.of(runs, strict=True)
    parents = _parents(runs, state, standing)
    slots = _slots(runs, state, standing, parents)
    most = np.ceil(MAX_FRACTION * np.bincount(groups)).astype(int)
    parent, lanes = state.split_merge.parent.copy(), [NONE]
    first = np.searchsorted(groups[slots], np.arange(most.size + 1))
    for own in by_group(groups, parents):
        group = groups[own[0]]
        taken = slots[first[group] : min(first[group + 1], first[group] + most[group])]
        parent[taken] = np.resize(own, taken.size)
        lanes.append(taken)
    return np.sort(np.concatenate(lanes)), parent


def _slots(runs: Runs, state: SearchState, standing: Standing, parents: np.ndarray) -> np.ndarray:
    """Replaceable lanes by data set, worst first: pruned starts that no other start follows (how
    often an optimum was reached is counted by followers), and proposals that failed."""
    status, child, follows = runs.run.status, state.split_merge.parent >= 0, state.race.follows
    left = (status == Status.PRUNED) & (follows < 0)
    left[np.unique(follows[follows >= 0])] = False
    score = standing.score
    failed = child & ~(np.isin(status, SOUND) & (score > -NEAR_SPURIOUS_PENALTY / 2))
    lanes = np.setdiff1d(np.flatnonzero(left | failed), parents)
    return lanes[np.lexsort((score[lanes], runs.batch.groups[lanes]))]


def _parents(runs: Runs, state: SearchState, standing: Standing) -> np.ndarray:
    """The best distinct sound lanes of each data set, best first."""
    ended = np.isin(runs.run.status, SOUND) & np.isfinite(standing.objective)
    marks = signature(runs.batch.grid.model, runs.run.point.params)
    unused, parents = state.race.follows.copy(), [NONE]
    for own in by_group(runs.batch.groups, np.flatnonzero(ended)):
        parents.append(distinct(own, standing, marks, MAX_PARENTS, unused))
    return np.concatenate(parents)


def _quotas(runs: Runs, candidates: np.ndarray) -> np.ndarray:
    """i[data sets]: how many candidates either ranking promotes."""
    groups = runs.batch.groups
    count = np.bincount(groups[candidates], minlength=groups.max() + 1)
    return np.ceil(PROMOTED * count / 2).astype(int)
