"""`fit_many`: one model, many data sets of different length, many starts each."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.api.one_data_set import mark_of, timed, whereabouts
from jaxem.batch import scheduler
from jaxem.batch.problem import many_data_sets, one_data_set, plan_for, replace_sets
from jaxem.core.compilation import compilations
from jaxem.core.compiled import jitted
from jaxem.core.keys import as_key
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.pytree import replace
from jaxem.core.status import Status
from jaxem.data import ragged
from jaxem.data.data import Data
from jaxem.data.scaling import frames_of, standardize, standardized_params
from jaxem.engine.loop import with_kernel
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit
from jaxem.search.driver import raced, run
from jaxem.search.polish import How, continued, continued_each, widens
from jaxem.search.refine import refine
from jaxem.search.starts import (
    check_generations,
    check_init,
    check_shapes,
    check_starts,
    control_for,
    regroupable,
)

#: Responsibilities per step from which the starts of one data set fill the machine alone.
ALONE = 1 << 20

#: Fields of a `Fit` that name other starts of the same data set.
BETWEEN = ("follows", "parent")


def fit_many(
    model: Mixture,
    x: Any,
    *,
    key: jax.Array | int,
    n_starts: int = 10,
    groups: Any = None,
    lengths: Any = None,
    init: Any = "k-means++",
    sample_weight: Any = None,
    tol: float = 1e-6,
    max_iter: int = 500,
    stop: str = "log_likelihood",
    accelerate: str | None = "auto",
    race: bool | None = None,
    generations: int = 0,
    memory_limit: int | None = None,
    checkpoint: Any = None,
    progress: bool | None = None,
    kernel: str | None = None,
    devices: Any = None,
    mesh: Any = None,
) -> Fit:
    """Fit `model` to every data set from `n_starts` starts each: a `Fit` with axes [data sets,
    starts], NumPy leaves.

    x is a list of arrays f[n_i, d], an array f[s, n, d], one array f[n, d] with `groups` (an id
    per row; data sets in the order of sorted ids), or a padded array f[s, m, d] with `lengths`.
    `init` is a name or callable as in `fit`, or `MixtureParams`, one for all data sets or with
    them leading. The other arguments are those of `fit`; several `devices` share the fits, and
    each holds all data sets. Every data set has its own standardised frame and its own random key,
    so it fits as it would alone, to rounding. A data set that is empty, shorter than the components
    or not finite fails alone: its fits have a status and NaN parameters.
    Raises ValueError only for arguments that make no sense for any data set.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> many = jaxem.fit_many(model, [x[:100], x[100:]], key=jax.random.key(0), n_starts=4)
    >>> many
    Fit(2 × 4 fits, 8 converged)
    >>> many.best().log_likelihood.round(1)
    array([-416.4, -702.6])
    """
    key = as_key(key)
    check_starts(n_starts)
    control = control_for(model, init, tol, max_iter, stop, accelerate)
    check_generations(model, init, None, generations, race)
    generations *= regroupable(model)
    sets, weights = ragged.as_list(x, sample_weight, groups, lengths)
    kinds = {one.dtype for one in sets if one.size}
    dtype = np.result_type(np.float32, *(k if k.kind == "f" else np.float64 for k in kinds))
    dtype = np.dtype(np.float64) if dtype == np.float64 else np.dtype(np.float32)
    fate = ragged.judge(sets, weights, model.n_components, model.family.validate)
    d = max(one.shape[1] for one in sets)
    model.validate_settings(d)
    check_init(init, allow_arrays=False)
    if isinstance(init, MixtureParams):
        check_shapes(model, init, d, len(sets) if np.ndim(init.weights) == 2 else None)
    good = np.flatnonzero(fate == Status.RUNNING)
    place = whereabouts(model, devices, mesh)
    if model.mesh is not None:
        raise ValueError("fit_many spreads fits, not rows: give devices= and a plain model.")
    with precision_of(dtype), place.here():
        begun = time.perf_counter()
        with compilations() as compiled:
            how = race, generations, memory_limit, progress, kernel, place
            options = key, n_starts, init, *how
            parts = []
            for number, (length, own) in enumerate(_plan(sets, good, model, n_starts)):
                make_room()
                chosen = [sets[i] for i in own], [weights[i] for i in own]
                padded = ragged.pad(*chosen, length, dtype)
                path = None if checkpoint is None else f"{checkpoint}.{number}"
                parts += _fit_bucket(model, padded, chosen, own, control, options, path)
        result = _assemble(model, parts, fate, n_starts, sets, dtype)
        reports = [fits.report for _, fits in parts if fits.report is not None]
        return timed(result, reports, compiled, begun)


def _plan(sets, good, model, n_starts):
    if good.size == 0:
        return []
    sizes = np.array([len(sets[i]) for i in good])
    plan = ragged.buckets(sizes, model.n_components * n_starts)
    return [(length, good[members]) for length, members in plan]


def _fit_bucket(model, padded, chosen, own, control, options, path) -> list[tuple]:
    """Fits of data sets (and their weights) padded to one length, as (their numbers, `Fit`
    [data sets, starts])."""
    key, n_starts, init, race, generations, limit, progress, kernel, place = options
    x, weight = padded
    frame = frames_of(model.family, x, weight)
    data = Data(jnp.asarray(standardize(x, frame, out=x)), jnp.asarray(weight))
    alone = x.shape[1] * model.n_components * n_starts >= ALONE
    groups = 0 if alone else len(x)
    model = with_kernel(model, data, n_starts, kernel, place.platform)
    plan = plan_for(model, data, n_starts, limit, groups, place)
    inits = _inits(model, init, own, len(own), frame, x.dtype)
    out = []
    for rows in [np.arange(i, i + 1) for i in range(len(x))] if alone else [np.arange(len(x))]:
        part = data, frame, inits  # as they are: indexing would copy the data on the device
        if alone:
            part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], part)
            one, its = jax.tree.map(lambda leaf: leaf[0], part[:2])
            store = one_data_set(model, one, its, n_starts, control, plan, place)
            store = replace_sets(store, own[rows])
        else:
            store = many_data_sets(model, data, frame, n_starts, control, plan, own, place)
        where = None if path is None else f"{path}.{rows[0]}"
        problem = part[0], model, control, init, key, n_starts, race, generations
        mark = mark_of(place, where, problem, plan, part[1])
        _start(store, key, init, part[2])
        store.key, store.generations = key, generations
        begun, wider = raced(race, n_starts, generations), widens(x.dtype, place)
        watch, winners = ((where, mark), progress), n_starts > 1
        fits, condition = run(store, control.max_iter, begun, *watch, winners and not wider)
        if wider:
            how = How(control, limit, kernel, place, winners)
            rest = [[part[i] for i in rows] for part in chosen]
            fits = _refined(model, rest, alone, fits, condition, how, n_starts)
        # Lanes lead with the data sets: a number modulo n_starts is one within its data set.
        fits = replace(fits, **{name: _within(fits, name, n_starts) for name in BETWEEN})
        shaped = jax.tree.map(lambda leaf: leaf.reshape(-1, n_starts, *leaf.shape[1:]), fits)
        out.append((own[rows], shaped))
    return out


def _refined(model, chosen, alone, fits, condition, how, n_starts) -> Fit:
    """`fits` of these data sets with what float32 cannot settle finished in float64."""
    sets, weights = chosen
    if alone:
        again = partial(continued, model, (sets[0], weights[0], None), fits, how)
    else:
        again = partial(continued_each, model, sets, weights, fits, how, n_starts=n_starts)
    return refine(fits, condition, again, np.repeat(np.arange(len(sets)), n_starts))


def _within(fits: Fit, name: str, n_starts: int) -> np.ndarray | None:
    """Numbers of lanes as numbers of starts of the same data set; -1 stays."""
    numbers = getattr(fits, name)
    return None if numbers is None else np.where(numbers >= 0, numbers % n_starts, -1)


def _inits(model, init, own, count, frame, dtype) -> Any:
    """Given parameters in the frames of the data sets, leading axis of data sets; else ()."""
    if not isinstance(init, MixtureParams):
        return ()
    leading = np.ndim(init.weights) == 2

    def take(leaf):
        leaf = np.asarray(leaf, dtype)
        return leaf[own] if leading else np.broadcast_to(leaf, (count, *leaf.shape))

    given = jax.tree.map(take, init)
    return _standardize_each(model, given, frame)


@jitted
def _standardize_each(model, given, frame):
    one = lambda params, frame: standardized_params(model, params, frame)  # noqa: E731
    return jax.vmap(one)(given, frame)


def _start(store, key, init, given) -> None:
    if isinstance(init, MixtureParams):
        params = jax.tree.map(lambda leaf: np.asarray(leaf)[store.groups], given)
        return scheduler.begin(store, params)
    return scheduler.seed(store, key, init)


def _assemble(model, parts, fate, n_starts, sets, dtype) -> Fit:
    """All data sets in their order; those that could not be fitted with NaN and their status."""
    shape = len(fate), n_starts
    if parts:
        like = parts[0][1]
    else:
        params = jax.tree.map(
            lambda leaf: np.empty((1, n_starts, *leaf.shape), leaf.dtype),
            jax.eval_shape(lambda: model.blank(max(s.shape[1] for s in sets), dtype)),
        )
        number = np.empty((1, n_starts), dtype)
        like = Fit(params, number, number, number.astype(np.int32), number.astype(np.int32))

    def empty(leaf):
        fill = np.nan if np.issubdtype(leaf.dtype, np.floating) else 0
        return np.full((*shape, *leaf.shape[2:]), fill, leaf.dtype)

    result = jax.tree.map(empty, replace(like, report=None))
    result.status[...] = fate[:, None]
    for name in BETWEEN:
        if getattr(result, name) is not None:
            getattr(result, name)[...] = -1
    leaves = jax.tree.leaves(result)
    for own, fits in parts:
        for kept, leaf in zip(leaves, jax.tree.leaves(fits), strict=True):
            kept[own] = leaf
    return result
