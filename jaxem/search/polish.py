"""float32 fits gone on with in float64, from where they stand: of one data set, or of many."""

from typing import Any

import jax
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.problem import framed, many_data_sets, one_data_set, plan_for
from jaxem.batch.state import Store
from jaxem.core.compiled import jitted
from jaxem.core.precision import enable_x64
from jaxem.core.pytree import pytree, replace, static
from jaxem.core.status import Status
from jaxem.data import ragged
from jaxem.data.data import Data
from jaxem.data.scaling import frames_of, standardize, standardized_params
from jaxem.devices.placement import Place
from jaxem.engine.loop import with_kernel
from jaxem.engine.steps import Control
from jaxem.results.fit import Fit
from jaxem.search.refine import CONTENDERS, room_for
from jaxem.search.winners import LEFT, settled


@pytree
class How:
    """How lanes go on: as they ran before, but for the kernel where float64 has no room for it."""

    control: Control
    limit: int | None = static()  # bytes
    kernel: str | None = static()
    place: Place = static()
    winners: bool = static()  # whether there are several starts, whose winner is settled


def widens(dtype: Any, place: Place) -> bool:
    """Whether fits of this dtype can go on in float64."""
    return dtype == np.float32 and place.platform != "tpu"


def continued(model, raw: tuple, fits: Fit, how: How, lanes: np.ndarray) -> Fit:
    """These lanes of a float32 `fits` to their ends in float64; raw is x f[n, d], weights and
    labels as they were given."""
    x, weight, labels = raw
    with enable_x64(True):
        frame, data = framed(model, (x.astype(np.float64), weight, labels))
        room = room_for(len(lanes), x.shape[0] * model.n_components)
        model, how = _on_kernel(model, data, room, how)
        plan = plan_for(model, data, room, how.limit, place=how.place)
        store = one_data_set(model, data, frame, len(lanes), how.control, plan, how.place)
        params = _wide(fits.params, lanes)
        scheduler.begin(store, _standardize_lanes(model, params, frame))
        return _to_their_ends(store, fits, how, lanes, np.ones(len(lanes), bool))


def continued_each(model, sets: list, weights: list, fits: Fit, how: How, lanes, n_starts) -> Fit:
    """The same of fits of many data sets f[n_i, d], their starts side by side: lane i is of data
    set i // n_starts. Data sets and lanes of each are filled up to few sizes."""
    own, groups = np.unique(lanes // n_starts, return_inverse=True)
    count = np.bincount(groups)
    width, room = int(count.max()), 1 << int(len(own) - 1).bit_length()
    slot = groups * width + np.arange(lanes.size) - np.repeat(np.cumsum(count) - count, count)
    grid = np.full(room * width, -1)
    grid[slot] = lanes
    taken = grid >= 0
    filled = np.where(taken, grid, lanes[0])
    chosen = np.concatenate([own, np.repeat(own[:1], room - len(own))])
    length = max(len(sets[i]) for i in own)
    rows = [sets[i] for i in chosen], [weights[i] for i in chosen]
    with enable_x64(True):
        x, weight = ragged.pad(*rows, length, np.float64)
        frame = frames_of(model.family, x, weight)
        data = Data(*jax.tree.map(jax.numpy.asarray, (standardize(x, frame, out=x), weight)))
        model, how = _on_kernel(model, data, width, how)
        plan = plan_for(model, data, width, how.limit, room, how.place)
        numbers = np.arange(room)
        store = many_data_sets(model, data, frame, width, how.control, plan, numbers, how.place)
        params = jax.tree.map(
            lambda leaf: leaf.reshape(room, width, *leaf.shape[1:]), _wide(fits.params, filled)
        )
        begun = jax.vmap(_standardize_lanes, in_axes=(None, 0, 0))(model, params, frame)
        scheduler.begin(store, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), begun))
        done = _to_their_ends(store, fits, how, filled, taken)
    return jax.tree.map(lambda leaf: leaf[slot], done)


def _on_kernel(model, data: Data, lanes: int, how: How) -> tuple[Any, How]:
    """float64 sums may have no room on chip: there even a kernel asked for gives way."""
    if "fused" in (how.kernel, model.kernel):
        model, how = replace(model, kernel="blocked"), replace(how, kernel=None)
    return with_kernel(model, data, lanes, how.kernel, how.place.platform), how


def _wide(params: Any, lanes: np.ndarray) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64)[lanes], params)


@jitted
def _standardize_lanes(model, params, frame):
    """float32 weights sum to 1 only to rounding: a likelihood that is n roundings too high, from
    which the first step would fall."""

    def one(params):
        return standardized_params(model, model.normalized(params), frame)

    return jax.vmap(one)(params)


def _to_their_ends(store: Store, fits: Fit, how: How, lanes: np.ndarray, taken: np.ndarray) -> Fit:
    """The lanes of the store that are `taken` b[lanes] to their ends: at most as many iterations as
    max_iter has left for them."""
    left = max(0, int(how.control.max_iter) - int(np.max(fits.n_iter[lanes])))
    store.control = replace(how.control, max_iter=left)
    store.runs.status[~taken] = Status.PRUNED
    dtype, few = fits.objective.dtype, np.bincount(store.groups).max() <= CONTENDERS
    if how.winners and few:
        # Nothing to choose from: at once as far as winners go, or as float32 can tell.
        seen = np.finfo(dtype).eps * np.abs(fits.objective[lanes[taken]]).min() / 2
        store.control = replace(store.control, remaining=max(LEFT, float(seen)))
    scheduler.advance(store, np.flatnonzero(taken), left + 1)
    done, condition = scheduler.conclude(store, dtype)
    if how.winners and not few and left > 0:
        done, _ = settled(store, done, condition, left, dtype)
    return replace(done, report=None)
