"""Which fits may be the best of all rows: those of a sample before, and those of all rows after
most passes."""

from dataclasses import replace as with_fields

import jax
import numpy as np

from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.results.fit import Fit
from jaxem.search import refine
from jaxem.search.race import Standing, distinct, still_to_gain
from jaxem.search.strategy import signature
from jaxem.search.winners import LEFT
from jaxem.stream.loop import Passes
from jaxem.stream.problem import Stream

#: Standard deviations of the gain that a contender may be behind by.
DEVIATIONS = 4

#: Gain that the best may have left, as a share of the gain at which a run ends.
SETTLED = 1e-3


def choose(stream: Stream, passes: Passes, fits: Fit, race: bool) -> None:
    """Let the contenders go on, after the first pass; the others are PRUNED.

    On its way from the optimum of m of n rows to that of all, a fit of p parameters gains about
    n/m · χ²(p)/2 nats, so one that is behind by no more than that may still win. Of fits on one
    path, one goes on. Without a `race`, all do that the sample left sound.
    """
    run, p = passes.run, stream.model.n_parameters(stream.found.unit[-1])
    could = np.isin(fits.status, SOUND) & (run.status == Status.RUNNING)
    could = could if could.any() else run.status == Status.RUNNING
    point = run.point
    value = np.where(could, point.ll_reference + point.ll_offset + point.log_prior, -np.inf)
    chosen = np.flatnonzero(could)
    if fits.parent is not None:
        passes.parent = np.array(fits.parent)
    if race and chosen.size:
        rows = len(stream.found.sample.x)
        reach = (p / 2 + DEVIATIONS * np.sqrt(p / 2)) / rows
        near = np.flatnonzero(value >= value.max() - reach)
        known = signature(stream.grid().model, point.params)
        if fits.follows is not None:
            passes.follows = np.array(fits.follows)
        chosen = distinct(near, Standing(value, value), known, near.size, passes.follows)
        passes.follows[chosen] = -1
    passes.racing = np.sort(chosen)
    left = np.setdiff1d(np.flatnonzero(run.status == Status.RUNNING), chosen)
    run.status[left] = Status.PRUNED


def settling(stream: Stream) -> Stream:
    """The stream in which a lane ends only where it has next to nothing left to gain, in float64:
    float32 cannot resolve such gains."""
    left = max(LEFT, SETTLED * float(stream.control.tol) * stream.found.weight)
    control, found = replace(stream.control, remaining=left), stream.found
    if jax.default_backend() != "tpu":  # which has no float64
        found = with_fields(found, dtype=np.dtype(np.float64))
    return with_fields(stream, control=control, found=found)


def settle(stream: Stream, passes: Passes) -> None:
    """Let the lanes that may be the best, all of which have ended, go on past `tol` in float64, as
    `jaxem.search.winners` and `polish` do in memory."""
    run, tol, weight = passes.run, float(stream.control.tol), stream.found.weight
    ended, point = np.isin(run.status, (Status.CONVERGED, Status.STALLED)), run.point
    value = weight * (point.ll_reference + point.ll_offset + point.log_prior).astype(float)
    left = weight * (still_to_gain(run) + 10 * tol)
    known = signature(stream.grid().model, point.params)
    lanes = np.zeros(ended.size, int)
    chosen = refine.contenders(np.where(ended, value, -np.inf), lanes, left, known)
    passes.racing = chosen
    passes.before[chosen] = run.status[chosen]
    run.status[chosen] = Status.RUNNING


def settled(passes: Passes) -> None:
    """A lane that went on and neither converged nor turned out DEGENERATE gets back the status it
    had."""
    status, before = passes.run.status, passes.before
    kept = (before >= 0) & (status != Status.CONVERGED)
    status[kept] = before[kept]
