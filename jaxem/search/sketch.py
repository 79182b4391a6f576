"""The first iterations of a race on a part of the rows.

Where a race of many starts begins, few rows tell as well as all which starts lead to which optimum:
a step of EM moves far, and its error from a sample of the rows is small beside that. So all starts
are drawn and run on a random subset of the rows, the best distinct ones on a larger one that
contains it, and only what is left then runs on all rows. The likelihood of every start, also of
those that left, is that of all rows.

A subset has to determine the statistics: `ROWS_PER_PARAMETER` rows for each parameter of the model.
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
from jaxem.search.options import Search
from jaxem.search.race import LEAST_PROMOTED, promote
from jaxem.search.starts import start_all
from jaxem.search.strategy import SearchState, initial_state

#: Shares of the rows, and the fraction of all starts that goes on from each.
STAGES = ((1 / 16, 1 / 2), (1 / 4, 1 / 2))

#: Iterations on each subset.
ITERATIONS = 12

#: Rows of a subset for each parameter of the model, at least.
ROWS_PER_PARAMETER = 10

#: Responsibilities of iterations on all rows that a sketch has to save: about the time in which its
#: programs are compiled.
WORTH = 1 << 28


@dataclass(frozen=True)
class Stage:
    """One subset of the rows."""

    rows: int
    promoted: float  # fraction of all starts that goes on


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
    n, d = len(problem.host[0].x), data.x.shape[-1]
    saved = n * problem.model.cost(d, data.x.dtype).per_unit * search.n_starts * ITERATIONS
    if search.race_on != "rows" and saved < WORTH:
        return []
    least = ROWS_PER_PARAMETER * problem.model.n_parameters(d)
    stages = [Stage(int(n * share), promoted) for share, promoted in STAGES]
    return [stage for stage in stages if stage.rows >= least]


@dataclass
class Sketch:
    """All starts after their iterations on subsets of the rows."""

    runs: Runs | None  # on the last subset
    racing: np.ndarray  # i[c], the starts that go on
    follows: np.ndarray  # i[lanes], as in `RaceState`
    executed: float = 0.0  # lane-iterations, each counted as the share of the rows it read
    interrupted: bool = False


def sketched(
    problem: Problem, stages: list[Stage], search: Search, control: Control, resources: Resources,
    key: jax.Array,
) -> Sketch:  # fmt: skip
    """All starts drawn and run on the subsets. Ctrl-C ends it where starts are drawn."""
    lanes = np.arange(search.n_starts)
    sketch = Sketch(None, lanes, np.full(lanes.size, -1))
    order = row_order(problem.host[0], stages[-1].rows, key)
    try:
        for stage in stages:
            part = subset(problem, order[: stage.rows])
            batch = batch_of(part, lanes.size, control, resources)
            if sketch.runs is None:
                sketch.runs = start_all(batch, part, key, search.init)
            else:
                sketch.runs = scheduler.start_at(batch, sketch.runs.run.point.params)
            scheduler.advance(sketch.runs, sketch.racing, ITERATIONS)
            sketch.executed += sketch.runs.executed * stage.rows / len(problem.host[0].x)
            quota = max(LEAST_PROMOTED, -int(-stage.promoted * lanes.size // 2))
            found = promote(sketch.runs, sketch.racing, sketch.follows, np.array([quota]))
            sketch.racing, sketch.follows = found.lanes, found.follows
    except KeyboardInterrupt:
        if sketch.runs is None:
            raise
        sketch.interrupted = True
    return sketch


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
    """Runs of all starts on all rows, from where the sketch left them, and the state of the race
    between those that go on. The others are evaluated once, and are PRUNED."""
    if sketch.runs is None:
        raise ValueError("the sketch has drawn no starts.")
    runs, state = scheduler.start_at(batch, sketch.runs.run.point.params), initial_state(batch)
    race = replace(state.race, racing=sketch.racing, follows=sketch.follows)
    if sketch.interrupted:
        return runs, replace(state, race=race)
    everyone = np.arange(len(batch.groups))
    scheduler.advance(runs, everyone, 0)
    others = np.setdiff1d(everyone, sketch.racing)
    others = others[runs.run.status[others] == Status.RUNNING]
    runs.run.status[others] = Status.PRUNED
    runs.executed += round(sketch.executed)
    return runs, replace(state, race=race)
