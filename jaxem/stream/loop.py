"""EM over rows that are read in blocks: every iteration of all lanes is one pass.

The M-step, the accelerator and the judgement of a step are those of `engine.steps`; only the E-step
is a sum over blocks. Runs are on the host between passes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import replace as with_fields

import jax
import numpy as np

from jaxem.batch.grid import Grid
from jaxem.batch.state import put, take
from jaxem.core.compiled import LEVEL, program
from jaxem.core.model_protocol import Model
from jaxem.core.precision import precision_of
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import Array, DType, Params
from jaxem.engine import steps
from jaxem.engine.finish import judged, restore, to_scaled
from jaxem.engine.steps import Control, Run
from jaxem.results.fit import Fit
from jaxem.stream.passes import expected, likelihoods, whole
from jaxem.stream.problem import Stream


@dataclass
class Passes:
    """The lanes of a call, and what its passes found so far."""

    run: Run  # NumPy leaves f[lanes, ...]
    racing: np.ndarray  # i[c], the lanes that go on
    follows: np.ndarray  # i[lanes], the lane whose optimum a lane has reached, or -1
    parent: np.ndarray  # i[lanes], the lane that a proposal was split and merged from, or -1
    before: np.ndarray  # i[lanes], the status of a lane before it went on past tol, or -1
    earlier: np.ndarray  # i[lanes], iterations before the lane began again in float64
    numbers: list[np.ndarray]  # of the prepared data of all rows; empty before the first pass
    executed: int = 0  # lane-iterations
    interrupted: bool = False

    @property
    def live(self) -> np.ndarray:
        """The lanes that have passes to make."""
        return self.racing[self.run.status[self.racing] == Status.RUNNING]


def begin(stream: Stream, params: Params) -> Passes:
    """All lanes at their starts f[lanes, ...], in the units of the rows."""
    lanes = len(jax.tree.leaves(params)[0])
    given = jax.tree.map(lambda leaf: np.asarray(leaf, stream.found.dtype), params)
    run = _begin(whole(stream, []), stream.model, given, stream.control)
    everyone = np.arange(lanes)
    run = jax.tree.map(np.array, jax.device_get(run))
    nobody, zero = np.full(lanes, -1), np.zeros(lanes, int)
    return Passes(run, everyone, nobody, nobody.copy(), nobody.copy(), zero, [])


def advance(
    stream: Stream, passes: Passes, look: Callable[[Passes], None], most: int | None = None
) -> None:
    """Passes until every lane that goes on has ended, `most` of them at most (None: no such limit).
    `look` is called after each. Ctrl-C ends the last pass and leaves the lanes as they were before
    it."""
    done = 0
    try:
        while passes.live.size and (most is None or done < most):
            _iterate(stream, passes)
            look(passes)
            done += 1
    except KeyboardInterrupt:
        passes.interrupted = True


def _iterate(stream: Stream, passes: Passes) -> None:
    """One iteration of the lanes that go on."""
    live, first = passes.live, not passes.numbers
    # Few widths, each of which is a program: 4^j lanes, the last one repeated.
    width = min(1 << 2 * -(-(live.size - 1).bit_length() // 2), len(passes.run.status))
    lanes = np.append(live, np.repeat(live[-1:], max(0, width - live.size)))
    run, unknown = take(passes.run, lanes), whole(stream, passes.numbers)
    proposal = jax.device_get(_propose(unknown, stream.control, run))
    found, numbers = expected(stream, proposal.params, proposal.reference, first)
    narrow = steps.narrowed(found, stream.found.dtype)
    passes.numbers = numbers if first else passes.numbers
    at = whole(stream, passes.numbers)
    new = _judge(at, stream.control, run, proposal, narrow)
    put(passes.run, live, np.arange(live.size), new)
    passes.executed += live.size


def restart(stream: Stream, passes: Passes, lanes: np.ndarray, narrow: DType) -> None:
    """Begin the given lanes again at their parameters, in the dtype of the stream, wider than the
    dtype `narrow` in which they ran. Weights are made to sum to 1 again: from a likelihood that is
    n roundings too high the first step would fall."""
    fits = summed(with_fields(stream, found=with_fields(stream.found, dtype=narrow)), passes)
    params = take(fits.params, lanes)
    again = begin(stream, jax.device_get(jax.vmap(stream.model.retract)(params)))
    passes.earlier[lanes] += passes.run.n_iter[lanes]
    passes.run = steps.narrowed(passes.run, stream.found.dtype)
    passes.run = jax.tree.map(np.array, jax.device_get(passes.run))
    put(passes.run, lanes, np.arange(lanes.size), again.run)


def conclude(stream: Stream, passes: Passes) -> Fit:
    """The fits of all lanes in the units of the rows, in float64: of so many rows, the rounding of
    float32 weights alone would move the likelihood by several nats.

    The likelihood of a lane that ended is that of its parameters as reported, summed in float64 in
    a pass of its own; that of another is from its last E-step. After Ctrl-C all are.
    """
    status = np.array(_judged(whole(stream, passes.numbers), stream.control, passes.run))
    passes.run = replace(passes.run, status=status)
    fits = summed(stream, passes)
    n_iter = np.maximum(passes.run.n_iter + passes.earlier, 0)
    fits = replace(fits, n_iter=n_iter, follows=passes.follows, parent=passes.parent)
    # A PRUNED lane keeps the likelihood of its last E-step, where that is the likelihood.
    left = (Status.RUNNING, Status.PRUNED) if stream.control.soft else (Status.RUNNING,)
    return _refined(stream, passes, fits, np.flatnonzero(~np.isin(status, left)))


def summed(stream: Stream, passes: Passes) -> Fit:
    """The fits of all lanes in float64, by the sums of their last E-steps."""
    wide, run = np.dtype(np.float64), passes.run
    with precision_of(wide):
        grid, params, total, objective = _totals(stream, passes, wide)
        fits = Fit(params, total, objective, run.status, run.n_iter)
        return jax.device_get(_restored(grid, fits))


def _totals(stream: Stream, passes: Passes, wide: DType) -> tuple[Grid, Params, Array, Array]:
    """The grid of all rows, parameters, log-likelihoods and objectives f64[lanes], in standard
    units."""
    grid = whole(stream, passes.numbers, wide)
    point = jax.tree.map(lambda leaf: np.asarray(leaf, wide), replace(passes.run.point, stats=None))
    weight, base = grid.prepared.weight, grid.prepared.base
    total = np.atleast_1d((point.ll_reference + point.ll_offset) * weight + base)
    return grid, point.params, total, np.atleast_1d(total + point.log_prior * weight)


def _refined(stream: Stream, passes: Passes, fits: Fit, lanes: np.ndarray) -> Fit:
    """The fits with likelihoods of the given lanes summed in float64, where Ctrl-C leaves the
    time."""
    soft, likelihood = stream.control.soft, np.array(fits.log_likelihood)
    try:
        if lanes.size and not passes.interrupted:
            before = _totals(stream, passes, np.dtype(np.float64))[2]
            change = likelihoods(stream, take(fits.params, lanes)) - before[lanes]
            likelihood[lanes] += change
            objective = np.array(fits.objective)
            objective[lanes] += change if soft else 0
            return replace(fits, log_likelihood=likelihood, objective=objective)
    except KeyboardInterrupt:
        passes.interrupted = True
    # The sums of hard or tempered E-steps are no likelihood.
    return fits if soft else replace(fits, log_likelihood=np.full_like(likelihood, np.nan))


@program({LEVEL: 0})
def _begin(grid: Grid, model: Model, params, control: Control) -> Run:
    def of_lane(params):
        inside = to_scaled(model, params, grid.scaling)
        inside = steps.narrowed(inside, grid.prepared.base.dtype)
        return steps.start(grid.model, inside, grid.prepared, control)

    return jax.vmap(of_lane)(params)


@program({LEVEL: 0})
def _propose(grid: Grid, control: Control, run: Run) -> steps.Proposal:
    return jax.vmap(lambda run: steps.propose(grid.model, control, run))(run)


@program({LEVEL: 0})
def _judge(grid: Grid, control: Control, run: Run, proposal: steps.Proposal, found) -> Run:
    """The runs after the E-steps of their proposals."""

    def of_lane(run, proposal, found):
        where = proposal.params, proposal.reference
        new = steps.point_of(grid.model, *where, found, grid.prepared.weight)
        return steps.judge(grid.model, grid.prepared, control, run, proposal, new)

    return jax.vmap(of_lane)(run, proposal, found)


@program({LEVEL: 0})
def _judged(grid: Grid, control: Control, run: Run) -> jax.Array:
    def of_lane(run):
        return judged(grid.model, grid.prepared, run, control)[0]

    return jax.vmap(of_lane)(run)


@program({LEVEL: 0})
def _restored(grid: Grid, fits: Fit) -> Fit:
    def of_lane(fit):
        return restore(grid.model, fit, grid.scaling, grid.prepared.weight)

    return jax.vmap(of_lane)(fits)
