"""From a problem to its fits: start, search, polish. All of `fit`, `fit_many` and
`sweep` run through `solve`."""

import time
import warnings
from dataclasses import dataclass
from dataclasses import replace as with_fields
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from jaxem.api.options import Options
from jaxem.batch.checkpoint import FilePath, fingerprint
from jaxem.batch.problem import Problem, batch_of
from jaxem.batch.state import Batch, Runs
from jaxem.core.capabilities import offered
from jaxem.core.compilation import Compilations
from jaxem.core.model_protocol import Paddable
from jaxem.core.trees import replace
from jaxem.core.types import Devices, DType
from jaxem.devices import distributed
from jaxem.devices.placement import Placement, placement_of
from jaxem.devices.rows import over_processes
from jaxem.results.fit import Fit
from jaxem.results.report import Report
from jaxem.search.driver import Outcome, run_search, strategies_of
from jaxem.search.options import Watch, for_size
from jaxem.search.polish import polish, widens
from jaxem.search.sketch import continued, sketched, stages_of
from jaxem.search.starts import start_all
from jaxem.search.strategy import SearchState

INTERRUPTED = (
    "interrupted: fits that had not ended have status RUNNING, and best() leaves them out; with "
    "checkpoint= the same call would go on from here."
)


def solve(problem: Problem, options: Options, path: FilePath | None = None) -> Outcome:
    """The fits of all lanes of a problem, axis [lanes]; where Ctrl-C was pressed, those it left."""
    size = problem.size * options.search.n_starts
    options = with_fields(options, search=for_size(options.search, size, problem.of_many))
    search, control, resources = options.search, options.control, options.resources
    batch = batch_of(problem, search.n_starts, control, resources)
    watch = Watch(path, _agreed(problem, batch, options, path), options.progress)
    runs, state, interrupted = _begun(problem, options, batch, path)
    if interrupted:
        # Without a checkpoint: a sketch that was cut short is no state to go on from.
        outcome = run_search(runs, [], Watch(progress=options.progress), state)
        outcome = _reported(_unpadded(problem, batch, outcome), problem.reported)
        return with_fields(outcome, interrupted=True)
    wider = widens(problem.data.x.dtype, resources.placement)
    strategies = strategies_of(search, control.max_iter, options.key, wider)
    outcome = run_search(runs, strategies, watch, state)
    outcome = _reported(_unpadded(problem, batch, outcome), problem.reported)
    if outcome.interrupted:
        return outcome
    try:
        fits = polish(problem, outcome, search, control, resources)
    except KeyboardInterrupt:
        if resources.placement.several:
            raise
        return with_fields(outcome, interrupted=True)
    return with_fields(outcome, fits=fits)


def _begun(
    problem: Problem, options: Options, batch: Batch, path: FilePath | None
) -> tuple[Runs, SearchState | None, bool]:
    """All lanes at their starts, or after a sketch; the state of the search after it; and whether
    Ctrl-C ended it. A call that goes on from a checkpoint needs no sketch."""
    search, control, resources = options.search, options.control, options.resources
    found = path is not None and Path(path).exists()
    stages = [] if found else stages_of(problem, search, control, resources)
    if not stages:
        return start_all(batch, problem, options.key, search.init), None, False
    sketch = sketched(problem, stages, search, control, resources, options.key)
    return *continued(sketch, batch), sketch.interrupted


def _unpadded(problem: Problem, batch: Batch, outcome: Outcome) -> Outcome:
    """The outcome without the latent values that padding added."""
    padded = offered(batch.grid.model, Paddable)
    if batch.active is None or padded is None:
        return outcome
    params = padded.unpadded(outcome.fits.params, problem.model)
    return with_fields(outcome, fits=replace(outcome.fits, params=params))


def _reported(outcome: Outcome, dtype: DType | None) -> Outcome:
    """The outcome with the floats of its fits in `dtype` (None: as they are)."""
    if dtype is None:
        return outcome

    def cast(leaf: np.ndarray) -> np.ndarray:
        return leaf.astype(dtype) if np.issubdtype(leaf.dtype, np.floating) else leaf

    return with_fields(outcome, fits=jax.tree.map(cast, outcome.fits))


def _agreed(problem: Problem, batch: Batch, options: Options, path: FilePath | None) -> str | None:
    """The fingerprint of a problem, where a checkpoint needs it. ValueError where processes that
    share its lanes were given different ones."""
    search = options.search
    asked = search.init, search.n_starts, search.race, search.race_on, search.split_merge
    what = problem.data, problem.model, options.control, options.key, asked
    if options.resources.placement.shared_out:
        mark = fingerprint(what, problem.scaling)[:8]
        distributed.agree("the problem (data, model, key or settings)", mark)
    return None if path is None else fingerprint(what, batch.plan, batch.grid.compute)


def whereabouts(devices: Devices, mesh: Mesh | None, rows_mesh: Mesh | None) -> Placement:
    """The devices that lanes run on. ValueError for devices that do not exist, and for `devices` or
    `mesh` where the rows are spread over `rows_mesh`."""
    placement = placement_of(devices, mesh)
    if rows_mesh is None:
        return placement
    if placement.mesh is not None:
        raise ValueError(
            "devices= spreads the starts of data whose rows are spread already: use one of the "
            "two, jaxem.shard_rows for few starts on many rows, devices= for many starts."
        )
    return Placement(in_step=over_processes(rows_mesh))


def tell_interrupted() -> None:
    """Warn that Ctrl-C ended the call."""
    warnings.warn(INTERRUPTED, RuntimeWarning, stacklevel=3)


@dataclass(frozen=True)
class Timer:
    """The time when a call began, and the programs compiled since."""

    begun: float
    compiled: Compilations

    def report(self, reports: list[Report], interrupted: bool) -> Report:
        """The reports of all parts of a call as one."""
        return Report(
            executed=sum(report.executed for report in reports),
            needed=sum(report.needed for report in reports),
            saved=sum(report.saved for report in reports),
            stopping_gain=max((report.stopping_gain for report in reports), default=0.0),
            kernel=reports[0].kernel if reports else "",
            programs=self.compiled.programs,
            compile_seconds=self.compiled.seconds,
            run_seconds=max(0.0, time.perf_counter() - self.begun - self.compiled.seconds),
            interrupted=interrupted,
        )


def timed(fits: Fit, reports: list[Report | None], timer: Timer, interrupted: bool) -> Fit:
    """The fits with the report of the whole call, from the reports of its parts."""
    known = [report for report in reports if report is not None]
    return replace(fits, report=timer.report(known, interrupted))
