"""`run_search`, the loop of a search: strategies choose lanes, the scheduler runs them."""

from dataclasses import dataclass

import jax
import numpy as np

from jaxem.batch import checkpoint, scheduler
from jaxem.batch.progress import clear, reporter
from jaxem.batch.state import Runs
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import Size
from jaxem.devices import distributed
from jaxem.results.fit import Fit
from jaxem.results.report import Report
from jaxem.search.options import Search, Watch
from jaxem.search.race import BRIEF_RUNGS, RUNGS, Race
from jaxem.search.split_merge import SplitMerge
from jaxem.search.strategy import Move, SearchState, Strategy, commit, initial_state
from jaxem.search.winners import LEFT, LEFT_BEFORE_FLOAT64, Winners, concluded, with_winners


@dataclass(frozen=True)
class Outcome:
    """All lanes of a call at the end of the search."""

    fits: Fit  # axis [lanes]
    condition: np.ndarray  # f[lanes], roundings of a log density that can be lost
    interrupted: bool = False


def race_of(search: Search, max_iter: Size) -> Race:
    """The race of a search."""
    proposes = search.split_merge > 0
    rungs = BRIEF_RUNGS if proposes and search.default else RUNGS
    return Race(search.race, max_iter, proposes, rungs)


def strategies_of(search: Search, max_iter: Size, key: jax.Array, wider: bool) -> list[Strategy]:
    """The strategies of a search in order. Of several starts, the best run on past `tol`, but not
    far where they then go on in float64 (`wider`)."""
    generations = search.split_merge if search.race else 0
    strategies: list[Strategy] = [
        race_of(search, max_iter),
        SplitMerge(generations, max_iter, key, search.default),
    ]
    left = LEFT_BEFORE_FLOAT64 if wider else LEFT
    return [*strategies, Winners(max_iter, left)] if search.winners else strategies


def run_search(
    runs: Runs, strategies: list[Strategy], watch: Watch, state: SearchState | None = None
) -> Outcome:
    """Run all lanes to their ends from a state of the search (None: its beginning), with a
    checkpoint and a progress line as `watch` says. Ctrl-C
    ends the search of a single process with the lanes as they are; with several processes it
    raises, because each waits for the lanes of the others."""
    state = initial_state(runs.batch) if state is None else state
    judged, interrupted = None, False
    placement = runs.batch.placement
    path = checkpoint.own_path(watch.path, placement)
    lead = jax.process_index() == 0 or not placement.several
    line = reporter(watch.progress) if lead else None
    write = None
    if path is not None:
        runs.batch = runs.batch.with_plan(threads=1)  # a checkpoint knows of one active bucket
        write = checkpoint.writer(path, watch.fingerprint or "")
        state = checkpoint.resume(path, runs, state, watch.fingerprint or "")

    def on_look(runs: Runs) -> None:
        if write is not None:
            write(runs, state)
        if line is not None:
            line(runs)

    look = on_look if write or line else None
    try:
        while True:
            advance = state.advance
            remaining = float(advance.remaining)
            remaining = None if remaining == np.inf else remaining
            scheduler.advance(runs, advance.lanes, int(advance.limit), look, remaining)
            move = next_move(strategies, runs, state)
            if move is None:
                break
            judged = move.concluded or judged
            state = commit(runs, move)
        if judged is None:  # also where a checkpoint was taken while the winners ran on
            judged = concluded(runs, state)
        judged = with_winners(runs, state, judged)
    except KeyboardInterrupt:
        if placement.several:
            raise  # the others wait for this process's lanes
        interrupted = True
    finally:
        clear(line)
    if write is not None:
        write(runs, state, last=True)
    fits, condition = judged or concluded(runs, state)
    fits = replace(fits, parent=_parents(strategies, state), follows=_followers(runs, state))
    return Outcome(replace(fits, report=_report(runs, state)), condition, interrupted)


def next_move(strategies: list[Strategy], runs: Runs, state: SearchState) -> Move | None:
    """The next move: of the strategy at work, or of the first one after it that has a move."""
    for number in range(int(state.strategy), len(strategies)):
        move = strategies[number].next(runs, state)
        if move is not None:
            return move._replace(state=replace(move.state, strategy=number))
    return None


def _parents(strategies: list[Strategy], state: SearchState) -> np.ndarray | None:
    """i[lanes]: the parent from which each lane was proposed, or -1; None where no split and merge
    was asked for."""
    asked = any(isinstance(s, SplitMerge) and s.generations for s in strategies)
    return state.split_merge.parent if asked else None


def _followers(runs: Runs, state: SearchState) -> np.ndarray:
    """i[lanes]: the lane whose path each pruned lane had joined, or -1; -1 for all other lanes."""
    pruned = runs.run.status == Status.PRUNED
    return np.where(pruned, state.race.follows, -1).astype(np.int32)


def _report(runs: Runs, state: SearchState) -> Report:
    batch = runs.batch
    executed = runs.executed
    if batch.placement.shared_out:
        executed = int(distributed.total(np.array(executed)))
    discarded, sketch = int(state.split_merge.discarded_iterations), state.sketch
    weight = np.asarray(batch.grid.prepared.weight)
    return Report(
        executed=executed,
        needed=discarded + int(np.sum(runs.run.n_iter + 1)) + int(sketch.work),
        saved=int(sketch.iterations) - int(sketch.work),
        kernel=batch.grid.compute.kernel,
        stopping_gain=float(batch.control.tol) * float(weight.max()),
    )
