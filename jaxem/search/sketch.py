"""The search on a part of the rows.

Where a race of many starts begins, few rows tell as well as all which starts lead to which optimum:
a step of EM moves far, and its error from a sample of the rows is small beside that. So all starts
are drawn and run on a random subset of the rows, the best distinct ones on a larger one that
contains it, and only what is left then runs on all rows. The likelihood of every start, also of
those that left, is that of all rows.

A subset has to determine the statistics: `ROWS_PER_PARAMETER` rows for each parameter of the model.
Optima, and their order, are those of all rows only where the subset is several times that,
`ROWS_TO_SETTLE`. There, and where an iteration on all rows takes long, the whole search is made on
the subset, and its best distinct fits are all that runs on all rows.
"""

from dataclasses import dataclass
from dataclasses import replace as with_fields

import jax
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.problem import Problem, Resources, batch_of
from jaxem.batch.state import Batch, Runs
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.data.data import Data
from jaxem.data.scaling import standardize
from jaxem.devices.rows import as_label
from jaxem.engine.steps import Control
from jaxem.search.driver import next_move, race_of
from jaxem.search.options import Search
from jaxem.search.race import BRIEF_RUNGS, Race, promote
from jaxem.search.split_merge import SplitMerge
from jaxem.search.starts import start_all
from jaxem.search.strategy import SearchState, SketchState, commit, initial_state

#: Rows of a subset beside those of the next larger one, or of all.
SHARE = 1 / 4

#: Iterations on a subset, and the fraction of all starts that goes on to the next one.
ITERATIONS, PROMOTED = 12, 1 / 4

#: Rows of a subset for each parameter of the model, at least; and where it is searched to the end.
ROWS_PER_PARAMETER, ROWS_TO_SETTLE = 10, 50

#: Responsibilities of an E-step on all rows from which a subset is searched to the end: ten
#: milliseconds of two cores.
LONG = 1 << 20

#: Iterations of a fit on a subset that is searched to the end, at most.
SETTLED = 100

#: Distinct fits that go on to all rows from there.
FINALISTS = 8

#: Responsibilities of iterations on all rows that a sketch has to save: about the time in which its
#: programs are compiled.
WORTH = 1 << 28


@dataclass(frozen=True)
class Stage:
    """One subset of the rows."""

    rows: int
    settles: bool  # whether the search is made to its end there
    last: bool  # whether those that are promoted go on to all rows


def stages_of(
    problem: Problem, search: Search, control: Control, resources: Resources
) -> list[Stage]:
    """The subsets of a call, the smallest first; none where the race is on all rows."""
    data, placement = problem.data, resources.placement
    alone = problem.shared and len(problem.numbers) == 1
    if not alone or data.mesh is not None or placement.several or search.given:
        return []
    if not search.race or search.race_on == "all" or control.max_iter <= ITERATIONS:
        return []
    if search.race_on != "rows" and problem.size * search.n_starts * ITERATIONS < WORTH:
        return []
    n, parameters = len(problem.host[0].x), problem.model.n_parameters(data.x.shape[-1])
    settles = problem.size >= LONG
    least, rows, stages = ROWS_PER_PARAMETER * parameters, int(n * SHARE), []
    while rows >= least:
        last = not stages
        settled = settles and last and rows >= ROWS_TO_SETTLE * parameters
        stages.append(Stage(rows, settled, last))
        rows = int(rows * SHARE)
    return stages[::-1]


@dataclass
class Sketch:
    """All starts after the search on subsets of the rows."""

    runs: Runs | None = None  # on the last subset
    state: SearchState | None = None
    executed: float = 0.0  # lane-iterations, each counted as the share of the rows it read
    interrupted: bool = False


def sketched(
    problem: Problem, stages: list[Stage], search: Search, control: Control, resources: Resources,
    key: jax.Array,
) -> Sketch:  # fmt: skip
    """All starts drawn and run on the subsets. Ctrl-C ends it where starts are drawn."""
    sketch = Sketch()
    order = row_order(problem.host[0], stages[-1].rows, key)
    try:
        for stage in stages:
            part = subset(problem, order[: stage.rows])
            batch = batch_of(part, search.n_starts, control, resources)
            if sketch.runs is None:
                sketch.runs = start_all(batch, part, key, search.init)
                sketch.state = initial_state(batch)
            else:
                sketch.runs = scheduler.start_at(batch, sketch.runs.run.point.params)
            _search(sketch, stage, search, control, key)
            _count(sketch, stage.rows / len(problem.host[0].x))
    except KeyboardInterrupt:
        if sketch.runs is None:
            raise
        sketch.interrupted = True
    return sketch


def _search(sketch: Sketch, stage: Stage, search: Search, control: Control, key: jax.Array) -> None:
    """Advance the lanes that race on a subset, and promote the best distinct ones."""
    runs, state = sketch.runs, sketch.state
    assert runs is not None and state is not None
    if stage.settles:
        max_iter = min(SETTLED, int(control.max_iter))
        generations = 0 if search.default else search.split_merge
        race = Race(True, max_iter, True, BRIEF_RUNGS)
        strategies = [race, SplitMerge(generations, max_iter, key)]
        while (move := next_move(strategies, runs, state)) is not None:
            state = sketch.state = commit(runs, move)
            scheduler.advance(runs, state.advance.lanes, int(state.advance.limit))
        # No generation follows on all rows.
        proposals = replace(state.split_merge, generation=search.split_merge)
        state, quotas = replace(state, split_merge=proposals), np.array([FINALISTS])
    else:
        scheduler.advance(runs, state.race.racing, ITERATIONS)
        race = race_of(search, control.max_iter)
        quotas = race.quotas(runs, race.rungs[0][1] if stage.last else PROMOTED)
    found = promote(runs, state.race.racing, state.race.follows, quotas)
    race = replace(state.race, racing=found.lanes, follows=found.follows)
    sketch.state = replace(state, race=race)


def _count(sketch: Sketch, share: float) -> None:
    """Add the work on a subset that is this share of the rows."""
    runs, state = sketch.runs, sketch.state
    assert runs is not None and state is not None
    sketch.executed += runs.executed * share
    iterations = int(np.sum(runs.run.n_iter + 1)) + int(state.split_merge.discarded_iterations)
    done = SketchState(
        int(state.sketch.iterations) + iterations,
        int(state.sketch.work) + round(share * iterations),
    )
    sketch.state = replace(state, sketch=done)


def row_order(data: Data, most: int, key: jax.Array) -> np.ndarray:
    """Numbers i[most] of rows in random order, whose first m are the subset of m rows: without
    repetition where all weights are equal, else drawn by weight, with repetition."""
    seed = np.asarray(key if key.dtype == np.uint32 else jax.random.key_data(key)).tolist()
    draw, weight = np.random.default_rng([*seed, 1]), np.asarray(data.weight, float)
    if weight.min() == weight.max():
        return draw.permutation(weight.size)[:most]
    return draw.choice(weight.size, most, p=weight / weight.sum())


def subset(problem: Problem, rows: np.ndarray) -> Problem:
    """The problem of some of its rows, in the same standard units and of the same total weight."""
    host, dtype = problem.host[0], problem.data.x.dtype
    z = standardize(np.asarray(host.x[rows], dtype), problem.scaling)
    weight = np.full(rows.size, np.sum(np.asarray(host.weight, float)) / rows.size, dtype)
    label = None if host.label is None else as_label(np.asarray(host.label)[rows])
    return with_fields(problem, data=jax.device_put(Data(z, weight, label)))


def continued(sketch: Sketch, batch: Batch) -> tuple[Runs, SearchState]:
    """Runs of all starts on all rows, from where the sketch left them, and the state of the search
    among those that go on. The others are evaluated once, and are PRUNED."""
    if sketch.runs is None or sketch.state is None:
        raise ValueError("the sketch has drawn no starts.")
    runs, before = scheduler.start_at(batch, sketch.runs.run.point.params), sketch.state
    race = replace(before.race, rungs_done=-1)
    proposals = replace(before.split_merge, discarded_iterations=0)
    state = replace(initial_state(batch), race=race, split_merge=proposals, sketch=before.sketch)
    if sketch.interrupted:
        return runs, state
    everyone = np.arange(len(batch.groups))
    scheduler.advance(runs, everyone, 0)
    others = np.setdiff1d(everyone, race.racing)
    others = others[runs.run.status[others] == Status.RUNNING]
    runs.run.status[others] = Status.PRUNED
    runs.executed += round(sketch.executed)
    return runs, state
