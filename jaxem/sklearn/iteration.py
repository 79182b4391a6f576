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

from jaxem.core.compiled import jitted
from jaxem.core.protocols import Statistics
from jaxem.core.status import Status
from jaxem.core.trees import pytree, replace
from jaxem.core.types import Array
from jaxem.engine import steps
from jaxem.engine.finish import restore
from jaxem.models import MixtureParams
from jaxem.results.fit import Fit

if TYPE_CHECKING:
    from jaxem.sklearn.restarts import Problem

#: Steps of a compiled call, and the length of the trace that it returns.
CHUNK = 64


@pytree
class Track:
    """The state of one start, in standard units. `stats` and `level` belong to `params`
    from the first step on, which is an E-step only."""

    params: MixtureParams
    stats: Statistics
    level: Array  # f[], mean log-likelihood
    bound: Array  # f[], lower bound of the last iteration; -inf before the first
    n_iter: Array  # i[], -1 before the first step
    converged: Array  # b[]
    failed: Array  # b[], singular covariances; `params` are the last good ones


def iterate(
    problem: "Problem", starts: MixtureParams, bound: float
) -> tuple[Fit, np.ndarray, list[list[float]]]:
    """Run all starts (parameters in standard units, lane axis leading) to their ends; `bound` is
    the lower bound of a previous fit. Returns the `Fit` in the units of x, b[lanes] which starts
    converged, and the lower bounds of each start."""
    model, data, max_iter = problem.inner, problem.rows.data(), problem.max_iter
    fixed = model, data, problem.rows.scaling, problem.tol, max_iter
    block = problem.plan(len(starts.weights)).rows
    tracks = _begin(model, data, starts, bound)
    bounds: list[list[float]] = [[] for _ in starts.weights]
    while True:
        tracks, trace, fits = _advance(*fixed, tracks, block)
        for known, line in zip(bounds, np.asarray(trace), strict=True):
            known.extend(float(value) for value in line[~np.isnan(line)])
        ended = jax.device_get(replace(tracks, stats=None))
        if not np.any(_live(ended, max_iter)):
            return jax.device_get(fits), np.array(ended.converged), bounds


def _begin(model, data, starts, bound: float) -> Track:
    lanes = len(starts.weights)
    row = jax.ShapeDtypeStruct((1, data.x.shape[1]), data.x.dtype)
    zero = data.x.dtype.type(0)
    shapes = jax.eval_shape(
        lambda row, params: model.expect(params, model.prepare(row), zero)[0],
        row,
        jax.tree.map(lambda leaf: leaf[0], starts),
    )
    stats = jax.tree.map(lambda leaf: np.zeros((lanes, *leaf.shape), leaf.dtype), shapes)
    level, no = np.full(lanes, bound, data.x.dtype), np.zeros(lanes, bool)
    return Track(starts, stats, level, level, np.full(lanes, -1, np.int32), no, no)


def _live(tracks, max_iter):
    return ~tracks.converged & ~tracks.failed & (tracks.n_iter < max_iter)


@partial(jitted, static_argnames="rows")
def _advance(model, data, scaling, tol, max_iter, tracks, rows):
    prepared = model.prepare(data, rows)
    jacobian = jnp.sum(jnp.log(scaling.scale)) if model.family_is_scaled else 0.0
    step = jax.vmap(partial(_step, model, prepared, jacobian, tol, max_iter))

    def going(carry):
        tracks, _, count = carry
        return jnp.any(_live(tracks, max_iter)) & (count < CHUNK)

    def body(carry):
        old, trace, count = carry
        new = step(old)
        bound = jnp.where(new.n_iter > jnp.maximum(old.n_iter, 0), new.bound, jnp.nan)
        return new, trace.at[:, count].set(bound), count + 1

    trace = jnp.full((*tracks.bound.shape, CHUNK), jnp.nan, tracks.bound.dtype)
    carry = tracks, trace, jnp.zeros((), jnp.int32)
    tracks, trace, _ = jax.lax.while_loop(going, body, carry)
    fits = jax.vmap(partial(_conclude, model, prepared, scaling))(tracks)
    return tracks, trace, fits


def _step(model, prepared, jacobian, tol, max_iter, track: Track) -> Track:
    """M-step, then E-step, of a live track; other tracks stay."""
    fresh, zero = jnp.asarray(track.n_iter < 0), jnp.zeros((), prepared.base.dtype)
    # scikit-learn's guard against a division by zero: a component without rows counts a trace of a
    # row, here at the mean of the data.
    count = track.stats.moments[:, 0] + 10 * jnp.finfo(zero.dtype).eps
    stats = replace(track.stats, moments=track.stats.moments.at[:, 0].set(count))
    params = steps.select(fresh, track.params, model.m_step(stats, track.params))
    near = ~fresh & (jnp.abs(track.level - track.bound) < tol)
    stats, total, _ = model.expect(params, prepared, zero)
    level = (total + prepared.base) / prepared.weight - jacobian
    bound = jnp.where(fresh, track.bound, track.level)
    no = jnp.zeros((), bool)
    new = Track(params, stats, level, bound, track.n_iter + 1, near, no)
    # Not `model.usable`: the weights of scikit-learn's seeds do not sum to one.
    fine = jnp.all(model.family.usable(params.components)) & jnp.isfinite(level)
    failed = replace(track, failed=~no)
    live = jnp.asarray(_live(track, max_iter))
    return steps.select(live, steps.select(fine, new, failed), track)


def _conclude(model, prepared, scaling, track: Track) -> Fit:
    """The track as a `Fit` in the units of x, with the likelihood of its parameters."""
    spurious = model.health(track.params, track.stats, prepared).spurious
    status = jnp.select(
        [track.failed, spurious, track.converged],
        [Status.SINGULAR, Status.DEGENERATE, Status.CONVERGED],
        Status.MAX_ITER,
    ).astype(jnp.int32)
    total = track.level * prepared.weight
    fit = Fit(track.params, total, total, status, jnp.maximum(track.n_iter, 0))
    mapped = restore(model, fit, scaling, prepared.weight)
    return replace(mapped, log_likelihood=total, objective=total)
