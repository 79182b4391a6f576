"""`fit`: many starts on one data set."""

import time
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxem.api.options import (
    DEFAULT_STARTS,
    Options,
    check_model,
    check_sums,
    options_of,
    quick_in_float64,
    with_sizes,
)
from jaxem.api.renamed import renamed
from jaxem.api.rows_in_blocks import fit_rows, refuse
from jaxem.api.solve import Timer, solve, tell_interrupted, timed, whereabouts
from jaxem.batch.checkpoint import FilePath
from jaxem.batch.padding import Sizes, sizes_of
from jaxem.batch.problem import pose
from jaxem.core.compilation import compilations
from jaxem.core.keys import as_key
from jaxem.core.model_protocol import Model
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.settings import Settings, settings_of
from jaxem.core.types import Devices, Init, Rows
from jaxem.data.blocks import NO_ROWS
from jaxem.data.data import Data
from jaxem.data.row_files import is_rows, open_rows
from jaxem.data.validate import host_data
from jaxem.devices.rows import check_alike
from jaxem.results.fit import Fit
from jaxem.search.starts import count_of, is_params


def fit(
    model: Model,
    x: Rows,
    *,
    key: jax.Array | int,
    n_starts: int | None = None,
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
    trace: bool = False,
    pad_to: int | None = None,
    kernel: str | None = None,
    precision: str | None = None,
    devices: Devices = None,
    mesh: Mesh | None = None,
    generations: int | None = None,
) -> Fit:
    """Fit `model` from `n_starts` starts at once; returns a `Fit` with axis [starts].

    The data are standardised once, and parameters and likelihood mapped back exactly. float64 x is
    fitted in float64 (results are NumPy arrays), anything narrower in float32. Start i is
    drawn from (key, i) alone. Of several starts, the few that may be the best run on past `tol`,
    until less than 1e-6 nats are left to gain (`jaxem.search.winners`). Ctrl-C returns
    the fits as they stand; unfinished ones have status RUNNING. Raises ValueError for data or
    arguments that cannot be fitted; a start that fails has a status.

    Data and starts

    - `x` f[n, d], or `Data`; `sample_weight` f[n]; `labels` i[n], -1 where unknown. Or rows that
      need not fit into memory: `jaxem.open_rows(...)`, the name of a file, or a function that
      yields blocks (see docs/guides/large.md).
    - `key`: a JAX random key, or a whole number.
    - `n_starts`: 32, or as many as `init` gives.
    - `init`: "k-means++", "kmeans", "random", "random_from_data", a callable
      `(key, x, weight, k) -> f[n, k]`, labels i[n], responsibilities f[n, k], or parameters: of one
      start, or of several with a leading axis [starts].

    Where runs end

    - `tol`: gain per unit weight; `max_iter`; `stop`: a rule of `jaxem.engine.stopping`.
    - `accelerate`: None (plain EM), "squarem", "anderson" or "auto" (SQUAREM for random starts of
      soft EM, plain EM from a given start).
    - `assignment`: "soft" or "hard" (classification EM); `exponent` tempers soft responsibilities.

    Which starts run on

    - `race`: run every start for a few iterations and the best distinct ones to the end, the others
      being PRUNED (None: from 64 starts on, where that saves time, followed by a few proposals; or
      where `split_merge` asks for it). The race of many starts on many rows begins on a random part
      of the rows (`jaxem.search.sketch`); "rows" begins so always, True never.
    - `split_merge`: generations of proposals that split and merge components of the best fits, in
      the slots of PRUNED starts (`jaxem.search.split_merge`; `fits.parent` names their parents).
      Give some dozen starts and three components at least.

    How to compute

    - `memory_limit`: bytes (None: a quarter of the device's memory), which decides how many fits
      run at once.
    - `kernel`: "blocked", "fused" or, for tests, "reference" (None: the one that suits the device,
      see `jaxem.kernels.dispatch`).
    - `precision` of float32 products: "float32", "tf32x3" or "bf16x3", three products on matrix
      units of 21 and 16 bits together, on GPUs (bf16x3 also TPUs); elsewhere exact.
    - `devices` (or `mesh`) spreads the starts: "all", "local", "gpu", a number, a list of devices,
      a Mesh (None: JAX's default device); `jaxem.shard_rows` spreads rows instead.
    - `pad_to`: components to compute with, those beyond the model's switched off, so that fits of
      several sizes share compiled programs.

    What is kept and shown

    - `checkpoint`: a file from which a killed call goes on to the same bits.
    - `progress`: a line on the terminal (None: only if there is one).
    - `trace`: keep the objective after each iteration, `fits.trace` f[starts, max_iter + 1].

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> fits
    Fit(8 fits, best log-likelihood -1130.26, ...)
    >>> np.sort(fits.best().params.weights).round(2)
    array([0.36, 0.64])
    """
    if is_rows(x):
        return _fit_in_blocks(**locals())
    key = as_key(key)
    data = host_data(x, sample_weight, labels)
    asked = Settings(kernel, precision, assignment, exponent)
    model, asked, data = settings_of(model, asked, data)
    placement = whereabouts(devices, mesh, data.mesh)
    check_alike(data.mesh, data.x)
    check_model(model)
    model.validate(data)
    model.validate_settings(data.x.shape[-1])
    check_sums(model, data.x.shape[1:-1], data.x.shape[-1])
    given = dict(
        key=key,
        n_starts=starts_of(model, init, n_starts, data.x.shape[-1], None, DEFAULT_STARTS),
        init=init,
        tol=tol,
        max_iter=max_iter,
        stop=stop,
        accelerate=accelerate,
        race=race,
        split_merge=renamed(split_merge, generations),
        memory_limit=memory_limit,
        progress=progress,
        trace=trace,
        pad_to=pad_to,
    )
    options = options_of(model, placement, asked, given, data.label is not None)
    make_room()
    reported = np.dtype(np.float64 if data.x.dtype == np.float64 else np.float32)
    n_starts = options.search.n_starts
    sizes = Sizes(len(data.x), n_starts, None)
    if memory_limit is None:  # a limit is that of the problem as it is
        sizes = sizes_of(model, data, init, n_starts)
    options = with_sizes(options, sizes)
    dtype = reported
    if quick_in_float64(model, data, options):
        dtype = np.dtype(np.float64)
    with precision_of(dtype), placement.as_default(), compilations() as compiled:
        timer = Timer(time.perf_counter(), compiled)
        outcome = solve(pose(model, data, dtype, sizes.rows, reported), options, checkpoint)
        fits = timed(outcome.fits, [outcome.fits.report], timer, outcome.interrupted)
    if outcome.interrupted:
        tell_interrupted()
    return fits.of(model, options.control.soft)


def _fit_in_blocks(
    model: Model, x: Rows, key: jax.Array | int, n_starts: int | None, init: Init,
    sample_weight: Rows, labels: Rows, trace: bool, pad_to: int | None, devices: Devices,
    mesh: Mesh | None, generations: int | None, checkpoint: FilePath | None, **given: Any,
) -> Fit:  # fmt: skip
    """`fit` of rows that are read in blocks; `given` are the arguments that are the same for the
    sample and for all rows."""
    check_model(model)
    refuse(sample_weight=sample_weight, labels=labels, trace=trace, pad_to=pad_to, devices=devices,
           mesh=mesh)  # fmt: skip
    rows, key = open_rows(x), as_key(key)
    asked = Settings(*(given[name] for name in ("kernel", "precision", "assignment", "exponent")))
    model, asked, _ = settings_of(model, asked, NO_ROWS)
    given["split_merge"] = renamed(given["split_merge"], generations)

    def options(d: int) -> Options:
        of_start = dict(key=key, n_starts=starts_of(model, init, n_starts, d, None, DEFAULT_STARTS))
        placement = whereabouts(None, None, None)
        return options_of(model, placement, asked, {**of_start, "init": init, **given}, False)

    def on_sample(data: Data) -> Fit:
        return fit(model, data, key=key, n_starts=n_starts, init=init, **given)

    make_room()
    if init is None or isinstance(init, str) or callable(init):
        options(1)  # wrong arguments are told before the rows are read
    elif not is_params(model, init, 1):
        raise ValueError("init must be a name, a callable or parameters where rows are read in "
                         "blocks.")  # fmt: skip
    limit, race = given["memory_limit"], given["race"] is not False
    return fit_rows(model, rows, key, options, limit, checkpoint, race, on_sample)


def starts_of(
    model: Model, init: Init, n_starts: int | None, d: int, sets: int | None, default: int
) -> int:
    """The number of starts, by the argument `n_starts` or by `init`; ValueError where the two
    differ. `sets` is the number of data sets, None for one."""
    given = count_of(model, init, d, sets)
    if given is not None and n_starts is not None and n_starts != given:
        raise ValueError(f"init gives {given} starts, and n_starts={n_starts}: leave n_starts out.")
    asked = default if n_starts is None else n_starts
    return asked if given is None else given
