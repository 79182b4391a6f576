"""`fit`: many starts on one data set."""

import time
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxem.batch.checkpoint import fingerprint
from jaxem.batch.problem import framed, one_data_set, plan_for
from jaxem.core.compilation import compilations
from jaxem.core.keys import as_key
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.pytree import replace
from jaxem.data.data import check_data
from jaxem.data.scaling import Frame
from jaxem.devices import distributed
from jaxem.devices.placement import Place, place_of
from jaxem.devices.rows import check_alike, check_enough, over_processes
from jaxem.engine.loop import with_kernel
from jaxem.models import Mixture
from jaxem.results.fit import Fit
from jaxem.results.report import Report
from jaxem.search.driver import raced, run
from jaxem.search.polish import How, continued, widens
from jaxem.search.refine import refine
from jaxem.search.starts import (
    check_generations,
    check_starts,
    control_for,
    padded,
    regroupable,
    start,
    unpadded,
)


def fit(
    model: Mixture,
    x: Any,
    *,
    key: jax.Array | int,
    n_starts: int = 32,
    init: Any = "k-means++",
    sample_weight: Any = None,
    labels: Any = None,
    tol: float = 1e-6,
    max_iter: int = 500,
    stop: str = "log_likelihood",
    accelerate: str | None = "auto",
    race: bool | None = None,
    generations: int = 0,
    memory_limit: int | None = None,
    checkpoint: Any = None,
    progress: bool | None = None,
    trace: bool = False,
    pad_to: int | None = None,
    kernel: str | None = None,
    devices: Any = None,
    mesh: Any = None,
) -> Fit:
    """Fit `model` from `n_starts` starts at once; returns a `Fit` with axis [starts].

    `key` is a random key, or an integer s for `jax.random.key(s)`.
    `init` is "k-means++", "kmeans", "random", "random_from_data", a callable
    `(key, x, weight, k) -> f[n, k]`, or one start given as parameters, labels i[n] or
    responsibilities f[n, k]. The data are standardised once, and parameters and likelihood mapped
    back exactly. float64 x is fitted in float64 (results are NumPy arrays), anything narrower in
    float32. Start i depends on (key, i) alone, but for how far it runs: of several starts the few
    that may be the best run on past `tol`, until less than 1e-6 nats are left to gain
    (`jaxem.search.winners`). `race` runs every start for a few iterations and
    the best distinct ones to the end, the others being PRUNED (None: from 64 starts on, or where
    `generations` asks for it). After the race the best have so many `generations` of children,
    which differ by a split and a merge of components and take the places of PRUNED starts: give
    some dozen starts and three components at least (`jaxem.search.split_merge`;
    `fits.parent` names them).
    `accelerate` is None (plain EM), "squarem", "anderson" or "auto": SQUAREM for random starts of
    soft EM, plain EM from a given start. `memory_limit` (bytes; None: a quarter of what
    the device has) decides how much is computed at once. `checkpoint` names a file from which a
    killed call goes on to the same bits. `progress` shows a line (None: only on a terminal).
    `trace` keeps the objective after each iteration (`fits.trace` f[starts, max_iter + 1], for
    `fits.plot.traces()`).
    `pad_to` computes with so many components, those beyond the model's switched off, so that fits
    of several sizes share compiled programs. `kernel` is "blocked", "fused" or, for tests,
    "reference" (None: what suits the device, see `jaxem.kernels.dispatch`). `devices` (or `mesh`)
    spreads the starts: "all", "local", "gpu", a number, a list of devices, a Mesh (None: JAX's
    default device); `jaxem.shard_rows` spreads rows instead. Ctrl-C returns what is
    there; unfinished fits then have status RUNNING. Raises ValueError for data or arguments that
    cannot be fitted; a start that fails has a status.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> fits
    Fit(8 fits, best log-likelihood -1130.26, ...)
    >>> np.sort(fits.best().params.weights).round(2)
    array([0.36, 0.64])
    """
    key, place = as_key(key), whereabouts(model, devices, mesh)
    array = check_data(x, sample_weight, labels, 1 if place.in_step else model.n_components)
    check_alike(model.mesh, array)
    check_enough(model.mesh, array, sample_weight, model.n_components)
    model.validate(array)
    check_starts(n_starts)
    control = control_for(model, init, tol, max_iter, stop, accelerate, trace)
    check_generations(model, init, labels, generations, race)
    generations *= regroupable(model)
    make_room()
    with precision_of(array.dtype), place.here():
        array = array if array.dtype == np.float64 else array.astype(np.float32)
        begun = time.perf_counter()
        with compilations() as compiled:
            raw = array, sample_weight, labels
            frame, data = framed(model, raw)
            computed = padded(model, init, pad_to)
            computed = with_kernel(computed, data, n_starts, kernel, place.platform)
            plan = plan_for(computed, data, n_starts, memory_limit, place=place)
            store = one_data_set(computed, data, frame, n_starts, control, plan, place)
            store.active = model.n_components if pad_to else None
            problem = data, model, control, init, key, n_starts, race, generations
            mark = mark_of(place, checkpoint, problem, plan, frame)
            start(store, model, array, key, init)
            store.key, store.generations = key, generations
            watch = (checkpoint, mark), progress
            wider = widens(array.dtype, place)
            winners, raced_now = n_starts > 1, raced(race, n_starts, generations)
            result, condition = run(store, max_iter, raced_now, *watch, winners and not wider)
            result = unpadded(model, result)
            if wider:
                how = How(control, memory_limit, kernel, place, winners)
                result = refine(result, condition, partial(continued, model, raw, result, how))
        return timed(result, [result.report], compiled, begun)


def whereabouts(model, devices: Any, mesh: Any) -> Place:
    """Where lanes run; ValueError for devices that are not there, or asked for twice over."""
    place = place_of(devices, mesh)
    if model.mesh is None:
        return place
    if place.mesh is not None:
        raise ValueError(
            "devices= spreads the starts of a model whose rows are spread already: use one of the "
            "two, jaxem.shard_rows for few starts on many rows, devices= for many starts."
        )
    return Place(in_step=over_processes(model.mesh))


def mark_of(place: Place, checkpoint: Any, problem: tuple, plan: Any, frame: Frame) -> str | None:
    """The fingerprint of a problem, where a checkpoint needs it. ValueError where processes that
    share its lanes were given different ones."""
    if place.shared_out:
        distributed.agree(
            "the problem (data, model, key or settings)", fingerprint(problem, frame)[:8]
        )
    return checkpoint and fingerprint(*problem, plan)


def timed(result: Fit, reports: list, compiled: Any, begun: float) -> Fit:
    """The result with what all of its parts cost together."""
    report = Report(
        executed=sum(report.executed for report in reports),
        needed=sum(report.needed for report in reports),
        stopping_gain=max((report.stopping_gain for report in reports), default=0.0),
        kernel=reports[0].kernel if reports else "",
        programs=compiled.programs,
        compile_seconds=compiled.seconds,
        run_seconds=max(0.0, time.perf_counter() - begun - compiled.seconds),
    )
    return replace(result, report=report)
