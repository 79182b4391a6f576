"""The race: short runs of every start, then the best distinct ones to the end.

Successive halving over starts (Jamieson and Talwalkar 2016, AISTATS), as tclust ships it for one
rung (500 starts × 3 steps, then the best 5). Half of the promoted starts have
the highest objectives, half the highest predicted ones. A start that is not promoted keeps its
parameters and likelihood, with status PRUNED. No ranking finds an optimum that one start in
hundreds reaches after a long plateau: on heavily overlapping components run all starts
(`race=False`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import Runs
from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.core.types import Size
from jaxem.engine.steps import Run
from jaxem.search.strategy import NONE, Advance, Move, SearchState, Verdicts, signature

#: (iterations, fraction promoted) of each rung.
RUNGS = ((10, 1 / 2), (20, 1 / 4))

#: The same by default before split and merge, which finds more than the starts that are left out.
BRIEF_RUNGS = ((10, 1 / 16),)

#: Starts of each data set that each of the two rankings promotes at least.
LEAST_PROMOTED = 16

#: The same before split and merge, whose proposals take the slots of pruned starts.
LEAST_PROMOTED_BEFORE_PROPOSALS = 4

#: Penalty on the score of near-spurious lanes, in mean objective.
NEAR_SPURIOUS_PENALTY = 1e6

#: Lanes of objectives this close (relative, per unit weight) are on one path, and one of them runs
#: on for all, if their signatures are as close as `SAME_SIGNATURE`.
SAME_OBJECTIVE = 1e-5

#: Largest difference of signatures between lanes on one path.
SAME_SIGNATURE = 1e-3


@dataclass(frozen=True)
class Race:
    """Runs every start to its end or, where `enabled`, rung by rung with fewer starts each time."""

    enabled: bool
    max_iter: Size
    before_proposals: bool = False
    rungs: tuple[tuple[int, float], ...] = RUNGS

    def limits(self) -> list[Size]:
        """Iterations at which lanes stop: of each rung that comes before the end, and the end."""
        rungs: list[Size] = (
            [limit for limit, _ in self.rungs if limit < self.max_iter] if self.enabled else []
        )
        return [*rungs, self.max_iter]

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """The next rung. After the last, the pruned starts of data sets that have no sound fit."""
        race, limits = state.race, self.limits()
        done = int(race.rungs_done) + 1
        verdicts = None
        if 0 < done < len(limits):
            promotion = promote(
                runs, race.racing, race.follows, self.quotas(runs, self.rungs[done - 1][1])
            )
            race = replace(race, racing=promotion.lanes, follows=promotion.follows)
            verdicts = Verdicts(promotion.pruned, Status.PRUNED)
        elif done == len(limits):
            again = _without_winner(runs) if self.enabled else NONE
            if again.size == 0:
                return None
            race = replace(race, racing=np.union1d(race.racing, again), rungs_done=done)
            advance = Advance(again, self.max_iter)
            return Move(replace(state, race=race, advance=advance), Verdicts(again, Status.RUNNING))
        elif done > 0:
            return None
        race, advance = replace(race, rungs_done=done), Advance(race.racing, limits[done])
        return Move(replace(state, race=race, advance=advance), verdicts)

    def quotas(self, runs: Runs, fraction: float) -> np.ndarray:
        """i[data sets]: the number of lanes that each of the two rankings promotes, where this
        fraction of all starts goes on."""
        least = LEAST_PROMOTED_BEFORE_PROPOSALS if self.before_proposals else LEAST_PROMOTED
        starts = np.bincount(runs.batch.groups)
        return np.maximum(least, np.ceil(fraction * starts / 2)).astype(int)


def _without_winner(runs: Runs) -> np.ndarray:
    """The pruned lanes of data sets in which no lane of the race ended sound."""
    status, groups = runs.run.status, runs.batch.groups
    winner = np.isin(status, SOUND) & ~scheduler.spurious(runs)[:, 0]
    lost = np.bincount(groups, weights=winner) == 0
    return np.flatnonzero(lost[groups] & (status == Status.PRUNED))


class Promotion(NamedTuple):
    """The decision of a rung."""

    lanes: np.ndarray  # i[p], the lanes that run on
    pruned: np.ndarray  # i[q], the lanes that stop
    follows: np.ndarray  # i[lanes], the lane whose path a lane has joined, or -1


class Standing(NamedTuple):
    """Objectives and scores of all lanes."""

    objective: np.ndarray  # f[lanes], the mean one, −∞ at a spurious maximum
    score: np.ndarray  # f[lanes], the number that lanes are ranked by

    @classmethod
    def of(cls, runs: Runs, strict: bool = False) -> "Standing":
        """The score is the objective, −∞ at a spurious maximum (never a winner, promoted last).
        `strict`: lanes near a spurious maximum rank behind all others."""
        point, (at_one, near) = runs.run.point, scheduler.spurious(runs).T
        mean = point.ll_reference + point.ll_offset + point.log_prior
        objective = np.where(at_one, -np.inf, mean)
        if not strict:
            return cls(objective, objective)
        return cls(objective, objective.astype(np.float64) - NEAR_SPURIOUS_PENALTY * near)


def promote(
    runs: Runs,
    racing: np.ndarray,
    follows: np.ndarray,
    quotas: np.ndarray,
    standing: Standing | None = None,
) -> Promotion:
    """Promote, of each data set g, the quotas[g] best racing lanes by score, and the quotas[g] best
    by Aitken's predicted score; the others are pruned unless they have ended by themselves."""
    run, groups, follows = runs.run, runs.batch.groups, follows.copy()
    standing = Standing.of(runs) if standing is None else standing
    signatures = signature(runs.batch.grid.model, run.point.params)
    able = racing[np.isin(run.status[racing], (Status.RUNNING, *SOUND))]
    promoted = [NONE]
    for members in by_group(groups, able):
        for score in (standing.score, standing.score + still_to_gain(run)):
            ranked = Standing(standing.objective, score)
            quota = int(quotas[groups[members[0]]])
            promoted.append(distinct(members, ranked, signatures, quota, follows))
    chosen = np.unique(np.concatenate(promoted))
    follows[chosen] = -1
    left = np.setdiff1d(racing, chosen)
    return Promotion(chosen, left[run.status[left] == Status.RUNNING], follows)


def by_group(groups: np.ndarray, lanes: np.ndarray) -> list[np.ndarray]:
    """The lanes, ascending, split by data set."""
    if lanes.size == 0:
        return []
    return np.split(lanes, np.flatnonzero(np.diff(groups[lanes])) + 1)


def still_to_gain(run: Run) -> np.ndarray:
    """Aitken's prediction g·a/(1−a) of the gain that is left f[lanes], a = g_t/g_{t−1}; it is
    large for lanes that climb slowly but far."""
    gain, before = run.gain, run.gain_before
    known = np.isfinite(gain) & np.isfinite(before) & (gain > 0) & (before > 0)
    ratio = np.divide(gain, before, out=np.zeros_like(gain), where=known)
    ratio = np.clip(ratio, 0, 0.99)
    return np.where(known, gain, 0) * ratio / (1 - ratio)


def distinct(
    lanes: np.ndarray, standing: Standing, signatures: np.ndarray, quota: int, follows: np.ndarray
) -> np.ndarray:
    """Up to `quota` of the given lanes i[c], best score first, without lanes on the path of a
    better one. The better one is written into `follows` i[lanes]. `signatures` f[lanes, s] are the
    signatures."""
    score = standing.score[lanes]
    order = lanes[np.argsort(-np.where(np.isfinite(score), score, -np.inf), kind="stable")]
    value, signatures = standing.objective[order], signatures[order]
    leader, chosen = np.full(len(order), -1), []
    for i in range(len(order)):
        if leader[i] < 0:
            if len(chosen) == quota:
                break
            chosen.append(i)
            # A lane that is like several chosen lanes follows the last of them.
            leader[_like(i, value, signatures)] = i
    found = leader >= 0
    follows[order[found]] = order[leader[found]]
    return order[chosen]


def _like(i: int, value: np.ndarray, signatures: np.ndarray) -> np.ndarray:
    """The lanes after i of nearly the same objective and signature."""
    if not np.isfinite(value[i]):
        return NONE
    rest = value[i + 1 :]
    close = np.isfinite(rest) & (np.abs(rest - value[i]) <= SAME_OBJECTIVE * (1 + np.abs(rest)))
    near = i + 1 + np.flatnonzero(close)
    return near[np.abs(signatures[near] - signatures[i]).max(axis=1, initial=0) < SAME_SIGNATURE]
