"""Which float32 fits go on in float64: narrow components, large counts, and winners.

The model estimates the error of its log densities (`Health.condition`): a quadratic form, for
example, loses digits where a component is narrow and far from the centre of the data, and its error
is the unit roundoff times max_k μ_kᵀ Λ_k μ_k in standard units. Three kinds of lanes go on in
float64 from their last parameters: lanes with an error beyond a limit, lanes that ended
SINGULAR or DECREASED in float32, and lanes that may be the best of their data set, because float32
cannot resolve their last gains.
"""

from collections.abc import Callable

import numpy as np

from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.core.types import Array
from jaxem.results.fit import Fit

#: Rounding error of a log density (nats) from which a lane goes on in float64.
LIMIT = 1e-3

#: Number of lanes of a data set, at most, that go on because they may be the best.
CONTENDERS = 4

#: Responsibilities of a lane up to which its float64 steps take less than a millisecond.
CHEAP = 1 << 17

#: Relative difference of objectives below which float32 cannot tell one from the other.
TIE = 4e-6

#: Largest difference of signatures between fits of one optimum.
ALIKE = 1e-3


def contenders(
    value: np.ndarray, groups: np.ndarray, slack: np.ndarray, signatures: np.ndarray
) -> np.ndarray:
    """Numbers of the lanes that may be the best of their data set: the first by `value` f[lanes],
    and up to `CONTENDERS` − 1 others whose value is no more than their `slack` f[lanes] below it.
    Lanes at the optimum of the first are left out, since they can only tie. `groups` i[lanes] are
    the data sets, `signatures` f[lanes, s] the signatures; lanes of value −∞ are never chosen."""
    order = np.lexsort((-value, groups))
    first = np.searchsorted(groups[order], groups[order])
    leader = order[first]
    best, slack = value[leader], np.broadcast_to(slack, value.shape)[order]
    with np.errstate(invalid="ignore"):  # −∞ − −∞, of a data set without a sound fit
        behind = best - value[order]
    apart = np.abs(signatures[order] - signatures[leader]).max(axis=1, initial=0) > ALIKE
    apart |= behind > TIE * (1 + np.abs(best))
    chosen = np.isfinite(value[order]) & (behind <= slack) & (apart | (leader == order))
    count = np.cumsum(chosen)
    place = count - count[first] + chosen[first]
    return np.sort(order[chosen & (place <= CONTENDERS)])


def worthwhile(
    fits: Fit, condition: np.ndarray, groups: np.ndarray, signatures: np.ndarray
) -> np.ndarray:
    """Numbers i[c] of the lanes to refine: the ill-conditioned ones, and contenders for the best of
    each data set."""
    status, value = fits.status, np.asarray(fits.objective, np.float64)
    sound = np.isin(status, SOUND)
    eps = float(np.finfo(fits.objective.dtype).eps)
    lost = np.isin(status, (Status.DECREASED, Status.SINGULAR))
    if fits.parent is not None:
        lost &= fits.parent < 0  # failed proposals are many, and judged more strictly
    narrow = lost | (sound & (eps * condition > LIMIT))
    value = np.where(sound, value, -np.inf)
    best = np.maximum.reduceat(value, np.searchsorted(groups, np.unique(groups)))
    slack = TIE * (1 + np.abs(best))[np.unique(groups, return_inverse=True)[1]]
    return np.union1d(np.flatnonzero(narrow), contenders(value, groups, slack, signatures))


def room_for(lanes: int, size: int) -> int:
    """Number of lanes to compute where `lanes` go on. It is at least `CONTENDERS`, so that calls
    with fewer run the same programs, if lanes of `size` responsibilities are cheaper than
    compiling."""
    return max(lanes, CONTENDERS) if size <= CHEAP else lanes


def merge(fits: Fit, refined: Fit, lanes: np.ndarray) -> Fit:
    """`fits` with the sound ones of `refined` in their lanes, in the dtype of `fits`; other lanes
    keep their float32 fit."""
    good = np.isin(refined.status, SOUND)
    keep, further = lanes[good], refined[good]
    begun = np.asarray(fits.n_iter)[keep]
    merged = fits.put(keep, replace(further, n_iter=begun + further.n_iter))
    if fits.trace is None or further.trace is None:
        return merged
    return replace(merged, trace=_joined(fits.trace, keep, begun, further.trace, further.n_iter))


def _joined(
    trace: Array, lanes: np.ndarray, begun: np.ndarray, further: Array, more: Array
) -> np.ndarray:
    """Traces f[starts, m + 1] in which those of continuations, `further` f[c, m + 1], stand from
    the iteration `begun` i[c] on, for `more` i[c] iterations."""
    trace = np.array(trace)
    for lane, at, continuation, steps in zip(lanes, begun, further, more, strict=True):
        length = min(steps + 1, trace.shape[1] - at)
        trace[lane, at : at + length] = continuation[:length]
    return trace


def below(fits: Fit, groups: np.ndarray, lanes: np.ndarray) -> Fit:
    """`fits` in which no lane is above a refined lane by rounding alone: such a lane is put a unit
    in the last place below, so that the refined lane is the best."""
    value = np.where(np.isin(fits.status, SOUND), fits.objective, -np.inf)
    top = np.full(groups.max() + 1, -np.inf, value.dtype)
    np.maximum.at(top, groups[lanes], value[lanes])
    top = top[groups]
    slack = TIE * (1 + np.abs(np.where(np.isfinite(top), top, 0)))
    over = np.isfinite(value) & np.isfinite(top) & (value >= top) & (value <= top + slack)
    over[lanes] = False
    excess = np.where(over, value, 0) - np.where(over, np.nextafter(top, -np.inf), 0)
    return replace(
        fits, objective=fits.objective - excess, log_likelihood=fits.log_likelihood - excess
    )


def refine(
    fits: Fit,
    condition: np.ndarray,
    again: Callable[[np.ndarray], Fit],
    groups: np.ndarray,
    signatures: np.ndarray,
) -> Fit:
    """`fits` with the lanes worth it replaced by `again(lanes)`, their float64 continuation.

    `condition` f[lanes] as the models give it; `groups` i[lanes] the data set of each, ascending;
    `signatures` f[lanes, s] their signatures.
    """
    lanes = worthwhile(fits, condition, groups, signatures)
    if lanes.size == 0:
        return fits
    return below(merge(fits, again(lanes), lanes), groups, lanes)
