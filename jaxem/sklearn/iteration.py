"""scikit-learn's own iteration, all starts at once.

An iteration is an E-step and then an M-step. Its lower bound is the mean log-likelihood of the
parameters *before* the M-step, so scikit-learn's `lower_bound_` is one step behind its parameters.
The engine of jaxem judges the likelihood of the new parameters, stops when a run is flat to
rounding, and refuses a component without rows; scikit-learn continues in both cases. Hence this
loop over the same E-step and M-step.
"""

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch.grid import Grid
from jaxem.core.compiled import program
from jaxem.core.constraints import shared_fields
from jaxem.core.protocols import Statistics
from jaxem.core.status import Status
from jaxem.core.trees import pytree, replace
from jaxem.core.types import Array
from jaxem.data.data import Data
from jaxem.engine import steps
from jaxem.engine.finish import restore
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit

if TYPE_CHECKING:
    from jaxem.sklearn.restarts import Problem

#: Iterations of a compiled call, and the length of the trace that it returns.
CHUNK = 128


@pytree
class Track:
    """The state of one start between two compiled calls, in standard units."""

    params: MixtureParams
    bound: Array  # f[], lower bound of the last iteration; -inf before the first
    n_iter: Array  # i[]
    converged: Array  # b[]
    failed: Array  # b[], singular covariances; `params` are the last good ones


@pytree
class Point:
    """A track within a call. `stats` and `level`, the mean log-likelihood f[], belong to its
    `params`; the first step of a call, an E-step only, sets them."""

    track: Track
    stats: Statistics
    level: Array


def iterate(
    problem: "Problem", starts: MixtureParams, bound: float
) -> tuple[Fit, np.ndarray, list[list[float]]]:
    """Run all starts (parameters in standard units, lane axis leading) to their ends; `bound` is
    the lower bound of a previous fit. Returns the `Fit` in the units of x, b[lanes] which starts
    converged, and the lower bounds of each start."""
    rows, model, max_iter = problem.rows, problem.inner, problem.max_iter
    lanes, k = starts.weights.shape
    plan = problem.plan(lanes)
    wide = problem.wide(lanes)
    grid = Grid(wide, Data(rows.z, rows.w), None, rows.scaling, shared=True)
    none = np.zeros(lanes, bool)
    bounds = np.full(lanes, bound), np.zeros(lanes, np.int32)
    tracks = Track(_widened(model, starts, wide.n_components), *bounds, none, none)
    known: list[list[float]] = [[] for _ in starts.weights]
    while True:
        tracks, *found = _advance(grid, k, problem.tol, max_iter, tracks, rows=plan.rows)
        trace, fits, converged, live = jax.device_get(found)
        for line, new in zip(known, trace, strict=True):
            line.extend(new[~np.isnan(new)].tolist())
        if not live:
            fits = replace(fits, params=wide.unpadded(fits.params, model))
            return fits, np.array(converged), known


def _widened(model: Mixture, params: MixtureParams, size: int) -> MixtureParams:
    """Parameters f[lanes, ...] with `size` components: the others repeat the first at weight 0."""
    k = model.n_components
    order = np.pad(np.arange(k), (0, size - k))
    wide = params.take(order, shared_fields(model.family.constraints()))
    return replace(wide, weights=np.where(np.arange(size) < k, wide.weights, 0))


def _live(track, max_iter):
    return ~track.converged & ~track.failed & (track.n_iter < max_iter)


@program(static_argnames="rows")
def _advance(grid, k, tol, max_iter, tracks, rows):
    """Up to `CHUNK` iterations of all live tracks: the tracks, the lower bounds f[lanes, CHUNK + 1]
    of these iterations (NaN where there is none), the fits, which have converged, and whether a
    track is live still. The first `k` components are on."""
    model, scaling = grid.model, grid.scaling
    prepared = model.prepare(grid.data, rows)
    jacobian = jnp.sum(jnp.log(scaling.scale)) if model.family_is_scaled else 0.0
    step = jax.vmap(partial(_step, model, prepared, jacobian, k, tol, max_iter), (None, 0))

    def going(carry):
        points, _, count = carry
        return (count == 0) | (jnp.any(_live(points.track, max_iter)) & (count <= CHUNK))

    def body(carry):
        old, trace, count = carry
        new = step(count == 0, old)
        moved = new.track.n_iter > old.track.n_iter
        bound = jnp.where(moved, new.track.bound, jnp.nan)
        return new, trace.at[:, count].set(bound), count + 1

    lanes, features = tracks.bound.shape, model.family.features(grid.data.x[:1]).shape[0]
    moments = jnp.zeros((*lanes, model.n_components, features), prepared.base.dtype)
    common = jnp.broadcast_to(prepared.common, (*lanes, *prepared.common.shape))
    points = Point(tracks, Statistics(moments, common), jnp.full(lanes, -jnp.inf))
    trace = jnp.full((*lanes, CHUNK + 1), jnp.nan, prepared.base.dtype)
    carry = points, trace, jnp.zeros((), jnp.int32)
    points, trace, _ = jax.lax.while_loop(going, body, carry)
    fits = jax.vmap(partial(_conclude, model, prepared, scaling))(points)
    tracks = points.track
    return tracks, trace, fits, tracks.converged, jnp.any(_live(tracks, max_iter))


def _step(model, prepared, jacobian, k, tol, max_iter, first, point: Point) -> Point:
    """M-step, then E-step, of a live track; other tracks stay. The `first` step of a call is an
    E-step of all tracks."""
    old, zero = point.track, jnp.zeros((), prepared.base.dtype)
    # scikit-learn's guard against a division by zero: a component without rows counts a trace of a
    # row, here at the mean of the data.
    guard = jnp.where(jnp.arange(model.n_components) < k, 10 * jnp.finfo(zero.dtype).eps, 0)
    moments = point.stats.moments.at[:, 0].add(guard)
    moved = model.m_step(replace(point.stats, moments=moments), old.params)
    params = steps.select(first, old.params, moved)
    stats, total, _ = model.expect(params, prepared, zero)
    level = (total + prepared.base) / prepared.weight - jacobian
    near = jnp.abs(point.level - old.bound) < tol
    ran = Track(params, point.level, old.n_iter + 1, near, old.failed)
    new = Point(steps.select(first, old, ran), stats, level)
    # Not `model.usable`: the weights of scikit-learn's seeds do not sum to one.
    fine = jnp.all(model.family.usable(params.components)) & jnp.isfinite(level)
    failed = replace(point, track=replace(old, failed=jnp.ones((), bool)))
    live = first | _live(old, max_iter)
    return steps.select(live, steps.select(fine, new, failed), point)


def _conclude(model, prepared, scaling, point: Point) -> Fit:
    """The track as a `Fit` in the units of x, with the likelihood of its parameters."""
    track = point.track
    spurious = model.health(track.params, point.stats, prepared).spurious
    status = jnp.select(
        [track.failed, spurious, track.converged],
        [Status.SINGULAR, Status.DEGENERATE, Status.CONVERGED],
        Status.MAX_ITER,
    ).astype(jnp.int32)
    total = point.level * prepared.weight
    fit = Fit(track.params, total, total, status, track.n_iter)
    mapped = restore(model, fit, scaling, prepared.weight)
    return replace(mapped, log_likelihood=total, objective=total)
