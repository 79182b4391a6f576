"""The race: short runs of every start, then the best distinct ones to the end.

Successive halving over starts (Jamieson and Talwalkar 2016, AISTATS), as tclust ships it for one
rung (500 starts × 3 steps, then the best 5). Half of the slots go to the highest objectives, half
to the highest predicted ones. A start that is not promoted keeps its parameters and likelihood,
with status PRUNED. No ranking finds an optimum that one start in hundreds reaches after a long
plateau: on heavily overlapping components run all starts (`race=False`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import Runs
from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.search.strategy import NONE, Advance, Move, SearchState, Verdicts, signature

#: (iterations, fraction promoted) of each rung.
RUNGS = ((10, 1 / 2), (20, 1 / 4))

#: Starts of each data set that either ranking promotes whatever the fraction.
LEAST_PROMOTED = 16

#: The same where split and merge follow, whose proposals need the slots.
LEAST_PROMOTED_BEFORE_PROPOSALS = 4

#: Penalty on the score of near-spurious lanes, in mean objective.
NEAR_SPURIOUS_PENALTY = 1e6

#: Objectives this close (relative, per unit weight) belong to one path: one lane runs it for all.
SAME_OBJECTIVE = 1e-5

#: Signatures this close belong to one path.
SAME_SIGNATURE = 1e-3


@dataclass(frozen=True)
class Race:
    """Every start to its end, or (`enabled`) rung by rung."""

    enabled: bool
    max_iter: int
    before_proposals: bool = False

    def limits(self) -> list[int]:
        """Iterations at which lanes stop: of each rung that comes before the end, and the end."""
        rungs = [limit for limit, _ in RUNGS if limit < self.max_iter] if self.enabled else []
        return [*rungs, self.max_iter]

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """The next rung; after the last, starts of data sets that were left without a winner."""
        own, limits = state.race, self.limits()
        done = int(own.rungs_done) + 1
        verdicts = None
        if done == 0:
            own = replace(own, racing=np.arange(len(runs.batch.groups)))
        elif done < len(limits):
            promotion = promote(runs, own.racing, own.follows, self._quotas(runs, done - 1))
            own = replace(own, racing=promotion.lanes, follows=promotion.follows)
            verdicts = Verdicts(promotion.pruned, Status.PRUNED)
        elif done == len(limits):
            again = _without_winner(runs) if self.enabled else NONE
            if again.size == 0:
                return None
            own = replace(own, racing=np.union1d(own.racing, again), rungs_done=done)
            advance = Advance(again, self.max_iter)
            return Move(replace(state, race=own, advance=advance), Verdicts(again, Status.RUNNING))
        else:
            return None
        own, advance = replace(own, rungs_done=done), Advance(own.racing, limits[done])
        return Move(replace(state, race=own, advance=advance), verdicts)

    def _quotas(self, runs: Runs, rung: int) -> np.ndarray:
        """i[data sets]: how many lanes either ranking promotes."""
        least = LEAST_PROMOTED_BEFORE_PROPOSALS if self.before_proposals else LEAST_PROMOTED
        starts = np.bincount(runs.batch.groups)
        return np.maximum(least, np.ceil(RUNGS[rung][1] * starts / 2)).astype(int)


def _without_winner(runs: Runs) -> np.ndarray:
    """The pruned lanes of data sets in which no lane of the race ended sound."""
    status, groups = runs.run.status, runs.batch.groups
    winner = np.isin(status, SOUND) & ~scheduler.spurious(runs)[:, 0]
    lost = np.bincount(groups, weights=winner) == 0
    return np.flatnonzero(lost[groups] & (status == Status.PRUNED))


class Promotion(NamedTuple):
    """Which lanes of a race run on."""

    lanes: np.ndarray  # i[p], they run on
    pruned: np.ndarray  # i[q], they do not
    follows: np.ndarray  # i[lanes], whose path a lane has joined, or -1


class Standing(NamedTuple):
    """Where all lanes stand."""

    objective: np.ndarray  # f[lanes], the mean one, −∞ at a spurious maximum
    score: np.ndarray  # f[lanes], by which lanes are ranked

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
    """Promote, of each data set g, the quotas[g] best racing lanes by score and as many by Aitken's
    predicted score; the others are pruned unless they have ended by themselves."""
    run, groups, follows = runs.run, runs.batch.groups, follows.copy()
    standing = Standing.of(runs) if standing is None else standing
    marks = signature(runs.batch.grid.model, run.point.params)
    able = racing[np.isin(run.status[racing], (Status.RUNNING, *SOUND))]
    promoted = [NONE]
    for own in by_group(groups, able):
        for score in (standing.score, standing.score + still_to_gain(run)):
            ranked = Standing(standing.objective, score)
            promoted.append(distinct(own, ranked, marks, int(quotas[groups[own[0]]]), follows))
    chosen = np.unique(np.concatenate(promoted))
    follows[chosen] = -1
    left = np.setdiff1d(racing, chosen)
    return Promotion(chosen, left[run.status[left] == Status.RUNNING], follows)


def by_group(groups: np.ndarray, lanes: np.ndarray) -> list[np.ndarray]:
    """Lanes in ascending order, by data set."""
    if lanes.size == 0:
        return []
    return np.split(lanes, np.flatnonzero(np.diff(groups[lanes])) + 1)


def still_to_gain(run) -> np.ndarray:
    """Aitken's prediction g·a/(1−a) f[lanes], a = g_t/g_{t−1}: slow climbers that will pass the
    others."""
    gain, before = run.gain, run.gain_before
    known = np.isfinite(gain) & np.isfinite(before) & (gain > 0) & (before > 0)
    ratio = np.divide(gain, before, out=np.zeros_like(gain), where=known)
    ratio = np.clip(ratio, 0, 0.99)
    return np.where(known, gain, 0) * ratio / (1 - ratio)


def distinct(
    own: np.ndarray, standing: Standing, marks: np.ndarray, quota: int, follows: np.ndarray
) -> np.ndarray:
    """Up to `quota` of the lanes i[c], best score first, without those that repeat another one's
    path; whose path these follow is written into `follows` i[lanes]. `marks` f[lanes, s] are
    signatures."""
    score = standing.score[own]
    order = own[np.argsort(-np.where(np.isfinite(score), score, -np.inf), kind="stable")]
    value, marks = standing.objective[order], marks[order]
    leader, chosen = np.full(len(order), -1), []
    for i in range(len(order)):
        if leader[i] < 0:
            if len(chosen) == quota:
                break
            chosen.append(i)
            # A lane that is like several of the chosen follows the last of them.
            leader[_like(i, value, marks)] = i
    found = leader >= 0
    follows[order[found]] = order[leader[found]]
    return order[chosen]


def _like(i: int, value: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """The lanes after i of nearly the same objective and signature."""
    if not np.isfinite(value[i]):
        return NONE
    rest = value[i + 1 :]
    close = np.isfinite(rest) & (np.abs(rest - value[i]) <= SAME_OBJECTIVE * (1 + np.abs(rest)))
    near = i + 1 + np.flatnonzero(close)
    return near[np.abs(marks[near] - marks[i]).max(axis=1, initial=0) < SAME_SIGNATURE]
