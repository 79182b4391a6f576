"""A search strategy says which lanes run on, and to where; the driver runs them.

A strategy is asked after each advance of the lanes. It reads where they stand and answers with a
`Move`: its new state, the lanes to advance, and what changes about lanes before. It changes nothing
itself, so that a call which is interrupted while it thinks stands where it stood. All state of all
strategies is one tree, `SearchState`, which a checkpoint writes as it is.
"""

from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxem.batch.state import Batch, Runs, put
from jaxem.core.capabilities import provides
from jaxem.core.model_protocol import Identified
from jaxem.core.trees import pytree
from jaxem.results.fit import Fit

#: No lane.
NONE = np.zeros(0, int)


@pytree
class Advance:
    """Which lanes run, and to where."""

    lanes: Any  # i[c]
    limit: Any  # iterations of each, at most
    remaining: Any = np.inf  # nats that a run may have left to gain where it ends


@pytree
class RaceState:
    """Who is in the race."""

    rungs_done: Any  # -1 before the first
    racing: Any  # i[c], lanes that the race has not left behind
    follows: Any  # i[lanes], whose path a pruned lane had joined, or -1


@pytree
class SplitMergeState:
    """Generations of split-and-merge proposals."""

    generation: Any  # generations that are over
    candidates: Any  # i[c], proposals whose race is not over
    parent: Any  # i[lanes], whose child a lane holds by now, or -1
    discarded_iterations: Any  # of runs whose slot a proposal took


@pytree
class WinnersState:
    """Lanes that run on because they may be the best."""

    begun: Any  # b[]
    lanes: Any  # i[c]
    verdicts: Any  # i[c], how these had ended before


@pytree
class SearchState:
    """All that a search knows beside the runs."""

    strategy: Any  # index of the one at work
    advance: Advance  # what its last move asked for
    race: RaceState
    split_merge: SplitMergeState
    winners: WinnersState


def initial_state(batch: Batch) -> SearchState:
    """Before the first move."""
    nobody = np.full(len(batch.groups), -1)
    return SearchState(
        0,
        Advance(NONE, 0),
        RaceState(-1, NONE, nobody),
        SplitMergeState(0, NONE, nobody, 0),
        WinnersState(False, NONE, NONE),
    )


class Placed(NamedTuple):
    """Runs that take the slots of lanes."""

    lanes: np.ndarray
    runs: Any


class Verdicts(NamedTuple):
    """Statuses that lanes are given."""

    lanes: np.ndarray
    status: Any


class Move(NamedTuple):
    """An answer of a strategy. `verdicts` and `placed` take effect before lanes advance."""

    state: SearchState
    verdicts: Verdicts | None = None
    placed: Placed | None = None
    concluded: tuple[Fit, np.ndarray] | None = None  # fits and conditions that it had to look at


class Strategy(Protocol):
    """One way to choose the lanes that run on."""

    def next(self, runs: Runs, state: SearchState) -> Move | None:
        """The next move, or None where this strategy has nothing left to do."""
        ...


def commit(runs: Runs, move: Move) -> SearchState:
    """Let a move take effect; returns the state after it."""
    if move.placed is not None:
        put(runs.run, move.placed.lanes, np.arange(len(move.placed.lanes)), move.placed.runs)
    if move.verdicts is not None:
        runs.run.status[move.verdicts.lanes] = move.verdicts.status
    return move.state


def signature(model: Any, params: Any) -> np.ndarray:
    """f[lanes, s]: what tells optima of one objective apart; s = 0 where the model cannot."""
    if provides(type(model), Identified):
        return np.asarray(model.signature(params))
    return np.zeros((len(jax.tree.leaves(params)[0]), 0))
