"""`Strategy`: a rule that says which lanes run on, and for how many iterations.

The driver asks a strategy after each advance of the lanes. The strategy reads the runs and answers
with a `Move`: the new state of the search, with the lanes to advance, and the statuses and runs
that lanes are given before. Only the driver changes runs (`commit`), so that a call which is
interrupted inside a strategy is in a known state. The state of all strategies is one tree,
`SearchState`, which a checkpoint writes as it is.
"""

from typing import NamedTuple, Protocol

import jax
import numpy as np

from jaxem.batch.state import Batch, Runs, put
from jaxem.core.capabilities import offered
from jaxem.core.model_protocol import Identified, Model
from jaxem.core.trees import pytree
from jaxem.core.types import Array, Params, Size
from jaxem.engine.steps import Run
from jaxem.results.fit import Fit

#: No lane.
NONE = np.zeros(0, int)

#: A whole number; an array i[] where it was read from a checkpoint.
Count = Size | np.ndarray


@pytree
class Advance:
    """Which lanes run next, and until when."""

    lanes: np.ndarray  # i[c]
    limit: Count  # iterations of each lane, at most
    remaining: float | np.ndarray = np.inf  # nats left to gain, at most, where a run converges


@pytree
class RaceState:
    """State of the race."""

    rungs_done: Count  # -1 before the first
    racing: np.ndarray  # i[c], lanes that are still in the race
    follows: np.ndarray  # i[lanes], the lane whose path a pruned lane had joined, or -1


@pytree
class SplitMergeState:
    """State of split and merge."""

    generation: Count  # number of generations that are over
    candidates: np.ndarray  # i[c], proposals whose race is not over
    parent: np.ndarray  # i[lanes], the parent of the proposal that a lane holds, or -1
    discarded_iterations: Count  # of runs whose slot a proposal took
    best: float | np.ndarray = -np.inf  # mean objective of the best fit before the last generation


@pytree
class WinnersState:
    """State of the winners: lanes that run on because they may be the best."""

    begun: bool | np.ndarray  # whether they were chosen
    lanes: np.ndarray  # i[c]
    verdicts: Array  # i[c], statuses of the lanes when they were chosen


@pytree
class SketchState:
    """Work that was done on parts of the rows, before the runs were."""

    iterations: Count  # of lanes
    work: Count  # the same, each counted as the share of the rows it read


@pytree
class SearchState:
    """The state of a search beside the runs."""

    strategy: Count  # index of the strategy at work
    advance: Advance  # the lanes that its last move asked for
    race: RaceState
    split_merge: SplitMergeState
    winners: WinnersState
    sketch: SketchState


def initial_state(batch: Batch) -> SearchState:
    """The state before the first move."""
    nobody = np.full(len(batch.groups), -1)
    return SearchState(
        0,
        Advance(NONE, 0),
        RaceState(-1, np.arange(len(batch.groups)), nobody),
        SplitMergeState(0, NONE, nobody, 0),
        WinnersState(False, NONE, NONE),
        SketchState(0, 0),
    )


class Placed(NamedTuple):
    """Runs that take the slots of lanes."""

    lanes: np.ndarray
    runs: Run


class Verdicts(NamedTuple):
    """Statuses that lanes are given."""

    lanes: np.ndarray
    status: int | np.ndarray


class Move(NamedTuple):
    """An answer of a strategy. `verdicts` and `placed` take effect before lanes advance."""

    state: SearchState
    verdicts: Verdicts | None = None
    placed: Placed | None = None
    concluded: tuple[Fit, np.ndarray] | None = None  # fits and conditions, if computed for it


class Strategy(Protocol):
    """One way to choose the lanes that run on."""

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """The next move, or None where this strategy has nothing left to do."""
        ...


def commit(runs: Runs, move: Move) -> SearchState:
    """Apply a move to the runs; returns the state after it."""
    if move.placed is not None:
        put(runs.run, move.placed.lanes, np.arange(len(move.placed.lanes)), move.placed.runs)
    if move.verdicts is not None:
        runs.run.status[move.verdicts.lanes] = move.verdicts.status
    return move.state


def signature(model: Model, params: Params) -> np.ndarray:
    """Numbers f[lanes, s] that tell optima of one objective apart; s = 0 where the model is not
    `Identified`."""
    identified = offered(model, Identified)
    if identified is not None:
        return np.asarray(identified.signature(params))
    return np.zeros((len(jax.tree.leaves(params)[0]), 0))
