"""`fit` of rows that do not fit into memory: a search on a sample, then exact EM on all rows."""

import time
from collections.abc import Callable
from functools import partial

import jax
import numpy as np

from jaxem.api.options import Options
from jaxem.api.solve import Timer, tell_interrupted
from jaxem.batch.checkpoint import FilePath, fingerprint
from jaxem.core.capabilities import offered
from jaxem.core.compilation import compilations
from jaxem.core.constraints import inside
from jaxem.core.model_protocol import Freezable, Model
from jaxem.core.precision import precision_of
from jaxem.core.trees import replace
from jaxem.core.types import Params
from jaxem.data.blocks import RowBlocks
from jaxem.data.data import Data
from jaxem.results.fit import Fit
from jaxem.results.report import Report
from jaxem.search.starts import check_params
from jaxem.stream import saved
from jaxem.stream.contenders import choose, settle, settled, settling
from jaxem.stream.loop import Passes, advance, begin, conclude, restart
from jaxem.stream.problem import Stream, pose
from jaxem.stream.survey import Survey, sample_size, survey


def fit_rows(
    model: Model, rows: RowBlocks, key: jax.Array, options_of: Callable[[int], Options],
    memory_limit: int | None, path: FilePath | None, race: bool,
    on_sample: Callable[[Data], Fit],
) -> Fit:  # fmt: skip
    """The fits of all starts, axis [starts]: `on_sample` runs them on a sample, and the contenders
    run on over all rows, a pass for every iteration. The others are PRUNED where there is a
    `race`, with the likelihood of all rows too. Where the sample is all rows, its fits are the
    result. `options_of(d)` are the options for rows of d columns."""
    with compilations() as compiled:
        timer = Timer(time.perf_counter(), compiled)
        found = survey(model, rows, key, partial(sample_size, model, memory_limit))
        if found.complete:
            return on_sample(found.sample)
        options = options_of(found.unit[-1])
        with precision_of(found.dtype):
            stream, passes = _passes(model, rows, found, options, path, race, on_sample)
        with precision_of(stream.found.dtype):
            fits = conclude(stream, passes)
        report = _report(stream, passes, fits, options)
        report = timer.report([report], passes.interrupted)
    if passes.interrupted:
        tell_interrupted()
    return replace(fits, report=report).of(model, options.control.soft)


def _passes(
    model: Model, rows: RowBlocks, found: Survey, options: Options, path: FilePath | None,
    race: bool, on_sample: Callable[[Data], Fit],
) -> tuple[Stream, Passes]:  # fmt: skip
    """All passes of a call, from its checkpoint if there is one."""
    search, control = options.search, options.control
    stream = pose(model, rows, found, control, search.n_starts, options.resources)
    asked = search.init, search.n_starts, race, search.race_on, search.split_merge
    told = rows.mark(), found.n, found.weight, found.sample, model, control, options.key, asked
    mark = fingerprint(*told, stream.block, stream.plan)
    look = saved.writer(path, mark)
    kept = None
    if path is not None:
        kept = saved.resume(path, mark, begin(stream, _blank(stream, search.n_starts)))
    if kept is None and search.given:
        kept = begin(stream, _given(stream, search.init, search.n_starts))
    if kept is None:
        kept = _from_sample(stream, on_sample, race)
        look(kept)
    if (kept.before < 0).all():
        advance(stream, kept, look)
    if not kept.numbers:
        raise KeyboardInterrupt  # before the end of the first pass
    if not kept.interrupted and control.soft and search.n_starts > 1:
        stream = _settle(stream, kept, look)
    return stream, kept


def _from_sample(stream: Stream, on_sample: Callable[[Data], Fit], race: bool) -> Passes:
    """Lanes after the first pass over all rows, from the fits of a sample."""
    model, sample = stream.model, stream.found.sample
    fits = on_sample(sample)
    params = inside(model.constraints(), fits.params, 1 / len(sample.x))
    freezable = offered(model, Freezable)
    if freezable is not None:
        params = freezable.kept(fits.params, params)
    passes = begin(stream, params)
    if fits.report is None or not fits.report.interrupted:
        advance(stream, passes, lambda _: None, most=1)
    if not passes.numbers:
        raise KeyboardInterrupt
    choose(stream, passes, fits, race)
    return passes


def _blank(stream: Stream, lanes: int) -> Params:
    d, dtype = stream.found.unit[-1], stream.found.dtype
    shapes = jax.eval_shape(lambda: stream.model.blank(d, dtype))
    return jax.tree.map(lambda leaf: np.zeros((lanes, *leaf.shape), leaf.dtype), shapes)


def _given(stream: Stream, init: Params, lanes: int) -> Params:
    """Given parameters, of one start or of several, as those of all lanes."""
    check_params(stream.model, init)
    shapes = _blank(stream, lanes)
    return jax.tree.map(lambda a, b: np.broadcast_to(np.asarray(a), b.shape), init, shapes)


def _settle(stream: Stream, passes: Passes, look: Callable[[Passes], None]) -> Stream:
    """Let the lanes that may be the best go on past `tol`; the stream that they end in."""
    wide, narrow = settling(stream), stream.found.dtype
    with precision_of(wide.found.dtype):
        if (passes.before < 0).all():
            settle(stream, passes)
            if narrow != wide.found.dtype:
                restart(wide, passes, passes.racing, narrow)
        advance(wide, passes, look)
    settled(passes)
    return wide


def _report(stream: Stream, passes: Passes, fits: Fit, options: Options) -> Report:
    return Report(
        executed=passes.executed,
        needed=int(np.sum(np.asarray(fits.n_iter) + 1)),
        stopping_gain=float(options.control.tol * stream.found.weight),
        kernel=stream.compute.kernel,
    )


def refuse(**given: object) -> None:
    """ValueError for arguments that need all rows at once, of those `given` that are not None or
    False."""
    asked = [name for name, value in given.items() if value is not None and value is not False]
    if asked:
        raise ValueError(
            f"{', '.join(asked)}: not for rows that are read in blocks. Weights and labels are "
            "columns of the file (jaxem.open_rows(..., sample_weight=, labels=)) or part of the "
            "Data that a function gives; fits run on JAX's default device."
        )
