"""Split and merge: after the race, proposals from the best fits (Ueda et al. 2000).

EM cannot leave an optimum in which two components share one cluster while a third covers two
clusters, and starts that avoid it by chance are rare. A proposal merges the two and splits the
third, so proposals from a few fits find optima that hundreds of starts miss. Proposals take the
slots of starts that left the race, and race among themselves; the best of a generation are among
the parents of the next. More search raises the risk of spurious maxima: near-spurious fits become
parents last, and near-spurious proposals end DEGENERATE.
"""

from dataclasses import dataclass

import jax
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import Runs
from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.core.types import Array, Size
from jaxem.search.race import (
    NEAR_SPURIOUS_PENALTY,
    SAME_OBJECTIVE,
    Standing,
    by_group,
    distinct,
    promote,
)
from jaxem.search.strategy import NONE, Advance, Move, Placed, SearchState, Verdicts, signature

#: Distinct fits of each data set that are parents, at most.
MAX_PARENTS = 8

#: Fraction of each data set's starts whose slots proposals take, at most.
MAX_FRACTION = 1 / 4

#: Number of those slots, at most, where split and merge is the default; it then ends with the first
#: generation that finds nothing better.
FEW = 32

#: Iterations after which the race between proposals ends, and the fraction promoted.
RACE_ITERATIONS, PROMOTED = 10, 1 / 2


@dataclass(frozen=True)
class SplitMerge:
    """Generations of proposals, each raced and then run to its end."""

    generations: int
    max_iter: Size
    key: jax.Array
    few: bool = False  # `FEW` proposals of one data set, until a generation finds nothing better

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """Judge the candidates of a generation if there are any, else place the next generation."""
        if self.generations == 0 or self.max_iter <= RACE_ITERATIONS:
            return None
        if state.split_merge.candidates.size:
            return self._judge(runs, state)
        if state.split_merge.generation >= self.generations:
            return None
        return self._place(runs, state)

    def _judge(self, runs: Runs, state: SearchState) -> Move:
        """The best candidates run on, beside the lanes that raced before."""
        proposals, race = state.split_merge, state.race
        candidates = proposals.candidates
        quotas, standing = _quotas(runs, candidates), Standing.of(runs, strict=True)
        promotion = promote(runs, candidates, race.follows, quotas, standing)
        racing = np.union1d(race.racing, promotion.lanes)
        race = replace(race, racing=racing, follows=promotion.follows)
        generation, advance = int(proposals.generation) + 1, Advance(racing, self.max_iter)
        proposals = replace(proposals, generation=generation, candidates=NONE)
        state = replace(state, race=race, split_merge=proposals, advance=advance)
        return Move(state, Verdicts(promotion.pruned, Status.PRUNED))

    def _place(self, runs: Runs, state: SearchState) -> Move | None:
        """Candidates in their slots; None where there is no parent or no slot."""
        proposals, race, best = state.split_merge, state.race, _best(runs)
        if self.few and best - float(proposals.best) <= SAME_OBJECTIVE * (1 + abs(best)):
            return None
        lanes, parent = _slots_of_parents(runs, state, FEW if self.few else None)
        if lanes.size == 0:
            return None
        candidates = scheduler.propose(runs, lanes, parent, self.key, int(proposals.generation))
        replaced = int(np.sum(runs.run.n_iter[lanes] + 1))
        discarded = int(proposals.discarded_iterations) + replaced
        proposals = replace(
            proposals, parent=parent, candidates=lanes, discarded_iterations=discarded, best=best
        )
        follows = race.follows.copy()
        follows[lanes] = -1
        race, advance = replace(race, follows=follows), Advance(lanes, RACE_ITERATIONS)
        state = replace(state, race=race, split_merge=proposals, advance=advance)
        return Move(state, placed=Placed(lanes, candidates))


def _best(runs: Runs) -> float:
    """The highest mean objective of a sound fit that is not near a spurious maximum."""
    sound, score = np.isin(runs.run.status, SOUND), Standing.of(runs, strict=True).score
    return float(np.max(score, where=sound, initial=-np.inf))


def with_degenerate(runs: Runs, state: SearchState, status: Array) -> Array:
    """The statuses i[lanes], with DEGENERATE for sound proposals near a spurious maximum."""
    proposed = state.split_merge.parent >= 0
    if not proposed.any():
        return status
    near = scheduler.spurious(runs)[:, 1] & proposed & np.isin(status, SOUND)
    return np.where(near, Status.DEGENERATE, status).astype(status.dtype)


def _slots_of_parents(
    runs: Runs, state: SearchState, most: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The lanes i[c] that this generation's proposals take, and the parent of every lane after that
    i[lanes], -1 for lanes of starts."""
    groups, standing = runs.batch.groups, Standing.of(runs, strict=True)
    parents = _parents(runs, state, standing)
    slots = _slots(runs, state, standing, parents)
    starts = np.bincount(groups)
    limit = starts if most is None else most
    most_of_each = np.minimum(np.ceil(MAX_FRACTION * starts), limit).astype(int)
    parent, lanes = state.split_merge.parent.copy(), [NONE]
    first = np.searchsorted(groups[slots], np.arange(starts.size + 1))
    for members in by_group(groups, parents):
        group = groups[members[0]]
        taken = slots[first[group] : min(first[group + 1], first[group] + most_of_each[group])]
        parent[taken] = np.resize(members, taken.size)
        lanes.append(taken)
    return np.sort(np.concatenate(lanes)), parent


def _slots(runs: Runs, state: SearchState, standing: Standing, parents: np.ndarray) -> np.ndarray:
    """Replaceable lanes by data set, worst first: pruned starts, and proposals that failed. Starts
    that follow another or are followed stay, because they are counted at their optimum."""
    status, follows = runs.run.status, state.race.follows
    proposed = state.split_merge.parent >= 0
    left = (status == Status.PRUNED) & (follows < 0)
    left[np.unique(follows[follows >= 0])] = False
    score = standing.score
    failed = proposed & ~(np.isin(status, SOUND) & (score > -NEAR_SPURIOUS_PENALTY / 2))
    lanes = np.setdiff1d(np.flatnonzero(left | failed), parents)
    return lanes[np.lexsort((score[lanes], runs.batch.groups[lanes]))]


def _parents(runs: Runs, state: SearchState, standing: Standing) -> np.ndarray:
    """The best distinct sound lanes of each data set, best first."""
    ended = np.isin(runs.run.status, SOUND) & np.isfinite(standing.objective)
    signatures = signature(runs.batch.grid.model, runs.run.point.params)
    unused, parents = state.race.follows.copy(), [NONE]
    for members in by_group(runs.batch.groups, np.flatnonzero(ended)):
        parents.append(distinct(members, standing, signatures, MAX_PARENTS, unused))
    return np.concatenate(parents)


def _quotas(runs: Runs, candidates: np.ndarray) -> np.ndarray:
    """i[data sets]: the number of candidates that each of the two rankings promotes."""
    groups = runs.batch.groups
    count = np.bincount(groups[candidates], minlength=groups.max() + 1)
    return np.ceil(PROMOTED * count / 2).astype(int)
