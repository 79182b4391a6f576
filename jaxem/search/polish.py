"""float32 fits gone on with in float64, from where they stand: of one data set, or of many."""

from dataclasses import dataclass
from dataclasses import replace as with_fields
from functools import partial

import jax
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.problem import Problem, Resources, batch_of, pose, pose_many, pose_weights
from jaxem.batch.state import Runs
from jaxem.core.compiled import jitted
from jaxem.core.precision import enable_x64
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import DType, Params
from jaxem.devices.placement import Placement
from jaxem.engine.finish import to_scaled
from jaxem.engine.steps import Control
from jaxem.results.fit import Fit
from jaxem.search.driver import Outcome
from jaxem.search.options import Search
from jaxem.search.refine import CONTENDERS, refine, room_for
from jaxem.search.strategy import commit, initial_state, signature
from jaxem.search.winners import LEFT, Winners, with_winners


@dataclass(frozen=True)
class How:
    """How lanes go on: as they ran before, but for the kernel where float64 has no room for it."""

    control: Control
    resources: Resources
    winners: bool  # whether there are several starts, whose winner is settled

    def wide(self) -> Resources:
        """The resources in float64. kernel="fused" is left to the model's choice, because its sums
        may not fit on the chip."""
        if self.resources.asked.kernel != "fused":
            return self.resources
        return with_fields(self.resources, asked=with_fields(self.resources.asked, kernel=None))


def widens(dtype: DType, placement: Placement) -> bool:
    """Whether fits of this dtype can go on in float64."""
    return dtype == np.float32 and placement.platform != "tpu"


def polish(
    problem: Problem, outcome: Outcome, search: Search, control: Control, resources: Resources
) -> Fit:
    """The fits of an outcome, axis [lanes], with what float32 cannot settle finished in float64."""
    fits = outcome.fits
    if not widens(problem.data.x.dtype, resources.placement):
        return fits
    resources = with_fields(resources, pad_to=None)
    how = How(control, resources, search.winners)
    again = partial(_continued if problem.shared else _continued_each, problem, fits, how)
    groups = np.repeat(np.arange(len(problem.numbers)), search.n_starts)
    return refine(fits, outcome.condition, again, groups, signature(problem.model, fits.params))


def _continued(problem: Problem, fits: Fit, how: How, lanes: np.ndarray) -> Fit:
    """These lanes of float32 `fits` to their ends in float64."""
    groups = lanes // (len(fits.status) // len(problem.numbers))
    with enable_x64(True):
        if len(problem.numbers) > 1:
            wide = pose_weights(problem.model, problem.host, problem.numbers, np.float64)
        else:
            rows = None if problem.data.mesh is not None else problem.data.x.shape[0]
            wide = pose(problem.model, problem.host[0], np.float64, rows)
        cost = problem.model.cost(wide.data.x.shape[-1], np.float64)
        most = int(np.bincount(groups).max())
        room = room_for(most, wide.data.x.shape[0] * cost.per_unit)
        batch = batch_of(wide, most, how.control, how.wide(), room, groups)
        # In as many lanes as a later call may have: another number compiles nothing.
        filled = np.concatenate([lanes, np.repeat(lanes[:1], -lanes.size % room)])
        params = _standardize_lanes(wide.model, _wide(fits.params, filled), wide.scaling)
        runs = scheduler.start_at(batch, params)
        return _to_their_ends(runs, fits, how, lanes, np.ones(len(lanes), bool))


def _continued_each(problem: Problem, fits: Fit, how: How, lanes: np.ndarray) -> Fit:
    """The same for data sets with rows of their own. Their number is padded to a power of two, and
    each gets as many lanes as the largest, to a power of two, so that few programs are compiled."""
    n_starts = len(fits.status) // len(problem.numbers)
    own, groups = np.unique(lanes // n_starts, return_inverse=True)
    count = np.bincount(groups)
    width, room = (1 << int(most - 1).bit_length() for most in (count.max(), len(own)))
    slot = groups * width + np.arange(lanes.size) - np.repeat(np.cumsum(count) - count, count)
    grid = np.full(room * width, -1)
    grid[slot] = lanes
    taken = grid >= 0
    filled = np.where(taken, grid, lanes[0])
    sets = [problem.host[i] for i in np.concatenate([own, np.repeat(own[:1], room - len(own))])]
    length = problem.data.x.shape[1]
    with enable_x64(True):
        wide = pose_many(problem.model, sets, np.arange(room), length, np.float64)
        batch = batch_of(wide, width, how.control, how.wide())
        params = jax.tree.map(
            lambda leaf: leaf.reshape(room, width, *leaf.shape[1:]), _wide(fits.params, filled)
        )
        each = jax.vmap(_standardize_lanes, in_axes=(None, 0, 0))
        started = each(wide.model, params, wide.scaling)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), started)
        runs = scheduler.start_at(batch, flat)
        return _to_their_ends(runs, fits, how, filled, taken)


def _wide(params: Params, lanes: np.ndarray) -> Params:
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64)[lanes], params)


@jitted
def _standardize_lanes(model, params, scaling):
    """Parameters f[lanes, ...] in standard units, their weights made to sum to 1 again: in float32
    they do so to rounding alone, and from a likelihood n roundings too high the first step falls.
    """
    return jax.vmap(lambda one: to_scaled(model, model.retract(one), scaling))(params)


def _to_their_ends(runs: Runs, fits: Fit, how: How, lanes: np.ndarray, taken: np.ndarray) -> Fit:
    """The lanes of the runs that are `taken` b[lanes], in their order, to their ends: at most as
    many iterations as max_iter has left for them."""
    left = max(0, int(how.control.max_iter) - int(np.max(fits.n_iter[lanes])))
    dtype = fits.objective.dtype
    control = replace(how.control, max_iter=left)
    runs.batch = with_fields(runs.batch, control=control, reported=dtype)
    runs.run.status[~taken] = Status.PRUNED
    few = np.bincount(runs.batch.groups).max() <= CONTENDERS
    remaining = None
    if how.winners and few:
        # So few lanes need no choosing: all run until `LEFT` nats, or half a rounding of the
        # objective, are left to gain.
        seen = np.finfo(dtype).eps * np.abs(fits.objective[lanes[taken]]).min() / 2
        remaining = max(LEFT, float(seen))
    chosen = np.flatnonzero(taken)
    scheduler.advance(runs, chosen, left + 1, remaining=remaining)
    if how.winners and not few and left > 0:
        done, _ = _settled(runs, left)
        return jax.tree.map(lambda leaf: leaf[chosen], replace(done, report=None))
    return replace(scheduler.conclude(runs, chosen)[0], report=None)


def _settled(runs: Runs, left: int) -> tuple[Fit, np.ndarray]:
    """Fits and conditions with the contenders run on."""
    move = Winners(left).next(runs, initial_state(runs.batch))
    if move is None or move.concluded is None:
        raise RuntimeError("the contenders are chosen by the first move.")
    state = commit(runs, move)
    advance = state.advance
    scheduler.advance(runs, advance.lanes, int(advance.limit), remaining=float(advance.remaining))
    return with_winners(runs, state, move.concluded)
