"""float32 fits that need more digits, in float64: narrow components, and winners.

The quadratic form loses digits where a component is narrow and far from the centre of the data:
its error is the unit roundoff times max_k μ_kᵀ Λ_k μ_k in the standardised frame. Lanes beyond a
limit, and those that float32 ended as SINGULAR or DECREASED, go on in float64 from where they
stood; so do the lanes that may be the best, so that the likelihood reported of a winner has all the
digits of float32. Where that error could put any of the many lanes at the same optimum first, all
of them are evaluated in float64 where they stand.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxem.pytree import replace
from jaxem.result import Fit
from jaxem.status import SOUND, Status

#: Loss of digits (in log density, nats) from which a lane goes on in float64.
LIMIT = 1e-3

#: Lanes that may be the best: so many at most go on in float64.
CONTENDERS = 4

#: Responsibilities of a lane up to which its float64 steps take less than a millisecond.
CHEAP = 1 << 17

#: Objectives within this (relative) are one to float32.
TIE = 4e-6

#: Error of an objective (relative, as the condition bounds it) from which ties need float64.
DOUBT = 5e-6


def worthwhile(fits: Fit, condition: np.ndarray) -> np.ndarray:
    """Numbers of the lanes to refine: the ill-conditioned ones, and contenders for the best."""
    status, value = fits.status, np.asarray(fits.objective, np.float64)
    sound = np.isin(status, SOUND)
    eps = float(np.finfo(fits.objective.dtype).eps)
    lost = np.isin(status, (Status.DECREASED, Status.SINGULAR))
    if fits.parent is not None:
        lost &= fits.parent < 0  # a child that fails is one of many, and judged more strictly
    narrow = lost | (sound & (eps * condition > LIMIT))
    chosen = set(np.flatnonzero(narrow))
    if sound.any():
        order = np.argsort(-np.where(sound, value, -np.inf), kind="stable")[:CONTENDERS]
        best = value[order[0]]
        chosen |= {int(i) for i in order if sound[i] and value[i] >= best - TIE * (1 + abs(best))}
    return np.array(sorted(chosen), int)


def room_for(lanes: int, size: int) -> int:
    """Lanes to compute for those that go on: a full number of contenders, so that a call with fewer
    runs the same programs, where lanes of `size` responsibilities are cheaper than compiling."""
    return max(lanes, CONTENDERS) if size <= CHEAP else lanes


def merge(fits: Fit, refined: Fit, lanes: np.ndarray) -> Fit:
    """`fits` with the refined lanes in their place, in the dtype of `fits`; a lane that float64
    could not go on with keeps what it had."""
    good = np.isin(refined.status, SOUND)
    keep = lanes[good]

    def put(old: Any, new: Any) -> np.ndarray:
        out = np.array(old)
        out[keep] = np.asarray(new)[good]
        return out

    names = ("params", "log_likelihood", "objective", "status")
    new = {n: jax.tree.map(put, getattr(fits, n), getattr(refined, n)) for n in names}
    n_iter = np.array(fits.n_iter)
    more = np.asarray(refined.n_iter)[good]
    if fits.trace is not None:
        new["trace"] = _joined(fits.trace, keep, n_iter[keep], refined.trace[good], more)
    n_iter[keep] += more
    return replace(fits, n_iter=n_iter, **new)


def _joined(trace, lanes, begun, further, more) -> np.ndarray:
    """Traces f[starts, m + 1] with those of the continuations from where each began."""
    trace = np.array(trace)
    for lane, at, own, steps in zip(lanes, begun, further, more, strict=True):
        length = min(steps + 1, trace.shape[1] - at)
        trace[lane, at : at + length] = own[:length]
    return trace


def undecided(fits: Fit, condition: np.ndarray, weight: float, refined: np.ndarray) -> np.ndarray:
    """Numbers of the lanes, beside the refined ones, that rounding may have put before the best."""
    value, doubt = np.asarray(fits.objective, np.float64), condition * weight
    doubt = doubt * float(np.finfo(fits.objective.dtype).eps)
    sound = np.isin(fits.status, SOUND)
    if not refined.size or not sound[refined].any():
        return np.zeros(0, int)
    best = value[refined][sound[refined]].max()
    size = 1 + abs(best)
    near = sound & (doubt > DOUBT * size) & (value + doubt >= best - TIE * size)
    near[refined] = False
    return np.flatnonzero(near)


def refine(fits: Fit, condition: np.ndarray, weight: float, again: Callable[..., Fit]) -> Fit:
    """`fits` with the lanes worth it replaced by `again(lanes)`, their float64 continuation, and
    the objectives of undecided ones by those of `again(lanes, 0)`, without an iteration.

    `condition` f[lanes] as the models give it, `weight` the sum of the rows' weights.
    """
    lanes = worthwhile(fits, condition)
    if lanes.size == 0:
        return fits
    out = merge(fits, again(lanes), lanes)
    rest = undecided(out, condition, weight, lanes)
    if rest.size == 0:
        return out
    exact = again(rest, 0)
    good = np.isfinite(exact.objective)
    values = {name: np.array(getattr(out, name)) for name in ("log_likelihood", "objective")}
    for name, value in values.items():
        value[rest[good]] = np.asarray(getattr(exact, name))[good]
    if out.trace is not None:
        still = exact.trace[good]
        values["trace"] = _joined(
            out.trace, rest[good], out.n_iter[rest[good]], still, 0 * rest[good]
        )
    return replace(out, **values)
