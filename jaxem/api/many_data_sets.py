"""`fit_many`: one model, many data sets of different length, many starts each."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jaxem.api.one_data_set import starts_of
from jaxem.api.options import (
    Options,
    check_model,
    check_sums,
    options_of,
    quick_in_float64,
    with_sizes,
)
from jaxem.api.renamed import renamed
from jaxem.api.solve import Timer, solve, tell_interrupted, timed, whereabouts
from jaxem.batch.checkpoint import FilePath
from jaxem.batch.padding import Sizes, sizes_of_many
from jaxem.batch.problem import Problem, pose_many, pose_weights
from jaxem.core.capabilities import offered
from jaxem.core.compilation import compilations
from jaxem.core.keys import as_key
from jaxem.core.model_protocol import Model, Paddable
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.settings import Settings, settings_of
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import Devices, Init, Rows
from jaxem.data import ragged
from jaxem.data.data import Data
from jaxem.data.sets import as_list, same_rows
from jaxem.results.fit import Fit
from jaxem.results.report import Report

#: Starts of each data set by default.
DEFAULT_STARTS = 10

#: Responsibilities per step from which one data set with its starts is a problem by itself.
ALONE = 1 << 20

#: Fields of a `Fit` that hold numbers of other starts of the same data set.
BETWEEN = ("follows", "parent")


def fit_many(
    model: Model,
    x: Rows,
    *,
    key: jax.Array | int,
    n_starts: int | None = None,
    groups: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    init: Init = "k-means++",
    sample_weight: Rows = None,
    labels: Rows = None,
    tol: float = 1e-6,
    max_iter: int = 500,
    stop: str = "log_likelihood",
    accelerate: str | None = "auto",
    assignment: str | None = None,
    exponent: float | None = None,
    race: bool | str | None = None,
    split_merge: int = 0,
    memory_limit: int | None = None,
    checkpoint: FilePath | None = None,
    progress: bool | None = None,
    kernel: str | None = None,
    precision: str | None = None,
    devices: Devices = None,
    mesh: Mesh | None = None,
    generations: int | None = None,
) -> Fit:
    """Fit `model` to every data set from `n_starts` starts each: a `Fit` with axes [data sets,
    starts], NumPy leaves.

    Every data set has its own standard units (those that share their rows have the units of their
    sum) and its own random key, so it fits as it would alone, to rounding. A data set that is
    empty, shorter than the components or not finite fails alone: its fits have a status and NaN
    parameters. Ctrl-C returns what is finished; data sets that were not begun have status RUNNING
    and NaN parameters. Raises ValueError only for arguments that make no sense for any data set.

    - `x`: a list of arrays f[n_i, d] (f[n_i, ..., d] where a unit of the model is several rows) or
      of `Data`, an array f[s, n, d], one array f[n, d] with `groups` (an id per row; data sets in
      the order of sorted ids), or a padded array f[s, m, d] with `lengths` i[s]. `sample_weight`
      and `labels` have the form of x without its columns. One array f[n, d] with `sample_weight`
      f[s, n] is s data sets that share their rows, such as bootstrap samples or tables of counts:
      the rows are in memory once.
    - `n_starts`: 10, or as many as `init` gives.
    - `init`: a name or callable as in `fit`, or parameters: one start for all data sets, one for
      each with a leading axis [data sets], or several with axes [data sets, starts].
    - `devices` share the fits, and each holds all data sets.
    - All other arguments are those of `fit`.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> many = jaxem.fit_many(model, [x[:100], x[100:]], key=jax.random.key(0), n_starts=4)
    >>> many
    Fit(2 × 4 fits, 8 converged)
    >>> many.best().log_likelihood.round(1)
    array([-416.4, -702.6])
    """
    key = as_key(key)
    sets = as_list(x, sample_weight, groups, lengths, labels)
    asked = Settings(kernel, precision, assignment, exponent)
    model, asked, first = settings_of(model, asked, sets[0])
    if first.mesh is not None:
        raise ValueError("fit_many spreads fits, not rows: give devices= and plain arrays.")
    d = max(data.x.shape[-1] for data in sets)
    check_model(model)
    model.validate_settings(d)
    check_sums(model, sets[0].x.shape[1:-1], d)
    given = dict(
        key=key,
        n_starts=starts_of(model, init, n_starts, d, len(sets), DEFAULT_STARTS),
        init=init,
        tol=tol,
        max_iter=max_iter,
        stop=stop,
        accelerate=accelerate,
        race=race,
        split_merge=renamed(split_merge, generations),
        memory_limit=memory_limit,
        progress=progress,
    )
    placement = whereabouts(devices, mesh, None)
    options = options_of(model, placement, asked, given, sets[0].label is not None)
    check_drawn(options)
    fate = ragged.judge(sets, size_of(model), model.validate)
    reported = dtype = dtype_of(sets)
    if _quick_in_float64(model, sets, options):
        dtype = np.dtype(np.float64)
    with precision_of(dtype), placement.as_default(), compilations() as compiled:
        timer = Timer(time.perf_counter(), compiled)
        parts = _Parts()
        how = _How(dtype, reported, options)
        for problem, own, path in _problems(model, sets, fate, how, checkpoint):
            parts.add(problem, own, path)
            if parts.interrupted:
                break
        result = _assemble(model, parts.fits, fate, options.search.n_starts, d, reported)
        result = timed(result, parts.reports, timer, parts.interrupted)
    if parts.interrupted:
        tell_interrupted()
    return result.of(model, options.control.soft)


def size_of(model: Model) -> int:
    """Smallest number of rows that a fit needs."""
    paddable = offered(model, Paddable)
    return 1 if paddable is None else paddable.size()


def dtype_of(sets: list[Data]) -> np.dtype:
    """float64 where any data set is float64 or of integers; else float32."""
    kinds = {data.x.dtype for data in sets if data.x.size}
    dtype = np.result_type(np.float32, *(k if k.kind == "f" else np.float64 for k in kinds))
    return np.dtype(np.float64) if dtype == np.float64 else np.dtype(np.float32)


def check_drawn(options: Options) -> None:
    """ValueError for `init` as an array: labels or responsibilities are those of one data set."""
    if hasattr(options.search.init, "shape") or isinstance(options.search.init, list | tuple):
        raise ValueError(
            "init must be a name, a callable or parameters where data sets are many; got an array."
        )


@dataclass(frozen=True)
class _How:
    """How the problems of a call are solved."""

    dtype: np.dtype  # in which fits are computed
    reported: np.dtype  # in which they are reported
    options: Options


def _quick_in_float64(model: Model, sets: list[Data], options: Options) -> bool:
    """Whether to compute in float64 whatever the data, as `fit` does for all rows together."""
    if same_rows(sets) or any(data.x.shape[1:] != sets[0].x.shape[1:] for data in sets):
        return False
    units = sum(len(data.x) for data in sets)
    like = Data(np.broadcast_to(np.float32(0), (units, *sets[0].x.shape[1:])), np.empty(0))
    return quick_in_float64(model, like, options)


def _problems(
    model: Model,
    sets: list[Data],
    fate: np.ndarray,
    how: _How,
    checkpoint: FilePath | None,
) -> Iterator[tuple[Problem, Options, FilePath | None]]:
    """The problems of a call, one after the other, with the options and the checkpoint of each:
    data sets of about one length are one problem, and each large data set is one by itself."""
    good = np.flatnonzero(fate == Status.RUNNING)
    options, dtype, reported = how.options, how.dtype, how.reported
    if good.size == 0:
        return
    if same_rows(sets):
        yield pose_weights(model, [sets[i] for i in good], good, dtype), options, checkpoint
        return
    search = options.search
    lengths = np.array([len(sets[i].x) for i in good])
    per_row = model.cost(sets[good[0]].x.shape[-1], dtype).per_unit * search.n_starts
    for number, (length, members) in enumerate(ragged.buckets(lengths, per_row)):
        make_room()
        names, some = good[members], [sets[i] for i in good[members]]
        path = None if checkpoint is None else f"{checkpoint}.{number}"
        together = length * per_row < ALONE
        sizes = Sizes(length, search.n_starts, None, len(names))
        if together and options.resources.memory_limit is None:
            sizes = sizes_of_many(model, some, length, search.init, search.n_starts)
        own = with_sizes(options, sizes)
        problem = pose_many(model, some, names, sizes.rows, dtype, sizes.sets, reported)
        if together:
            yield problem, own, None if path is None else f"{path}.0"
            continue
        for i in range(len(names)):
            yield problem.alone(i), own, None if path is None else f"{path}.{i}"


@dataclass
class _Parts:
    """The fits of the problems that are solved so far."""

    fits: list[tuple[np.ndarray, Fit]] = field(default_factory=list)  # (names, [sets, starts])
    interrupted: bool = False

    @property
    def reports(self) -> list[Report | None]:
        """The report of each problem."""
        return [fits.report for _, fits in self.fits]

    def add(self, problem: Problem, options: Options, path: FilePath | None) -> None:
        """Solve one more problem. Ctrl-C ends the call; fits that are finished stay."""
        try:
            outcome = solve(problem, options, path)
        except KeyboardInterrupt:
            if options.resources.placement.several or not self.fits:
                raise
            self.interrupted = True
            return
        self.interrupted = outcome.interrupted
        n_starts, fits = options.search.n_starts, outcome.fits
        # Lanes lead with the data sets: a number modulo n_starts is one within its data set.
        fits = replace(fits, **{name: _within(fits, name, n_starts) for name in BETWEEN})
        shaped = jax.tree.map(lambda leaf: leaf.reshape(-1, n_starts, *leaf.shape[1:]), fits)
        self.fits.append((problem.numbers, shaped))


def _within(fits: Fit, name: str, n_starts: int) -> np.ndarray | None:
    """Numbers of lanes as numbers of starts of the same data set; -1 stays."""
    numbers = getattr(fits, name)
    return None if numbers is None else np.where(numbers >= 0, numbers % n_starts, -1)


def _assemble(
    model: Model,
    parts: list[tuple[np.ndarray, Fit]],
    fate: np.ndarray,
    n_starts: int,
    d: int,
    dtype: np.dtype,
) -> Fit:
    """The fits of all data sets in their order, axes [data sets, starts]. A data set without fits
    has NaN parameters and its status in `fate`."""
    shape = len(fate), n_starts
    if parts:
        like = parts[0][1]
    else:
        params = jax.tree.map(
            lambda leaf: np.empty((1, n_starts, *leaf.shape), leaf.dtype),
            jax.eval_shape(lambda: model.blank(d, dtype)),
        )
        number = np.empty((1, n_starts), dtype)
        like = Fit(params, number, number, number.astype(np.int32), number.astype(np.int32))

    def empty(leaf: np.ndarray) -> np.ndarray:
        fill = np.nan if np.issubdtype(leaf.dtype, np.floating) else 0
        return np.full((*shape, *leaf.shape[2:]), fill, leaf.dtype)

    result = jax.tree.map(empty, replace(like, report=None))
    result.status[...] = fate[:, None]
    for name in BETWEEN:
        if getattr(result, name) is not None:
            getattr(result, name)[...] = -1
    leaves = jax.tree.leaves(result)
    for names, fits in parts:
        for kept, leaf in zip(leaves, jax.tree.leaves(fits), strict=True):
            kept[names] = leaf
    return result
