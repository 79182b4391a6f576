"""`jaxem fit` and `jaxem sweep`: check what can be checked, fit every model, print, write.

`sweep` keeps all models; `fit`, of one covariance type, keeps and draws the best.
"""

import time
from dataclasses import dataclass

import jax
import numpy as np

import jaxem
from jaxem import io
from jaxem.api.many_models import CRITERIA
from jaxem.cli import outputs, report
from jaxem.cli.families import build_family, devices_of, parse_range
from jaxem.cli.large import bytes_of, largest
from jaxem.cli.request import Input, Job, check_job, check_rows, read_data
from jaxem.core.compilation import compilations
from jaxem.core.constraints import shared_fields
from jaxem.core.precision import precision_of
from jaxem.core.protocols import Family
from jaxem.core.trees import replace
from jaxem.families.gaussian import as_gaussian
from jaxem.models import Mixture
from jaxem.results.fit import Fit
from jaxem.results.sweep import Row, Sweep

TYPES = "full,tied,diag,spherical"


@dataclass(frozen=True)
class Outcome:
    """The result of a command, and what it was made of."""

    job: Job
    data: Input
    swept: Sweep
    fit: Fit | None  #: the best of the best model; None where no fit is sound


def run_fit(job: Job) -> bool:
    """Sweep over K with one covariance type and keep the best model, as `run_sweep`."""
    return _run(job, [job.covariance or "full"], whole=False)


def run_sweep(job: Job) -> bool:
    """Do the whole job; False when no model has a sound fit, ValueError for what can be mended."""
    return _run(job, (job.covariance or TYPES).split(","), whole=True)


def _run(job: Job, types: list[str], whole: bool) -> bool:
    ks = parse_range(job.k)
    check_job(job)
    _check_criterion(job)
    data = read_data(job)
    families = _families(job, data, types)
    check_rows(job, next(iter(families.values())), data, ks)
    began = time.perf_counter()
    with precision_of(data.table.x.dtype), compilations() as compiled:
        swept = _sweep(job, ks, families, data)
        best = swept.best if swept.sound else None
        fit = best and (best.fits.best() if whole else _heaviest_first(best))
        outcome = Outcome(job, data, swept, fit)
        if not job.json:
            _show(outcome)
        if fit is not None or whole:
            _write(outcome, whole)
    seconds = time.perf_counter() - began
    if job.json:
        outputs.print_json(_document(outcome, seconds, compiled.seconds))
    else:
        report.show_time(seconds, compiled.seconds)
    return fit is not None


def _check_criterion(job: Job) -> None:
    if job.criterion not in CRITERIA or (job.criterion == "held_out") > (job.folds >= 2):
        raise ValueError(
            f"--criterion must be one of {', '.join(CRITERIA)}, held_out with --folds 2 or more; "
            f"got {job.criterion!r} with --folds {job.folds}."
        )


def _families(job: Job, data: Input, types: list[str]) -> dict[str, Family]:
    """The family of each covariance type; one under the name "" where it has none."""
    x = data.table.x
    if job.family == "categorical" and not data.whole:
        x = largest(data.x)  # which decides the number of levels
    if job.family != "gaussian":
        return {"": build_family(job.family, job.covariance, job.trials, x)}
    built = [build_family("gaussian", name.strip(), job.trials, x) for name in types]
    return {as_gaussian(family).covariance_type: family for family in built}


def _sweep(job: Job, ks: list[int], families: dict[str, Family], data: Input) -> Sweep:
    report.show_progress(f"{len(ks) * len(families)} models, {job.starts} starts each")
    swept = jaxem.sweep(
        data.x, ks, tuple(families), key=jax.random.key(job.seed), n_starts=job.starts,
        criterion=job.criterion, folds=job.folds, sample_weight=data.weight, tol=job.tol,
        max_iter=job.max_iter, race=job.race, split_merge=job.split_merge,
        devices=devices_of(job.devices), memory_limit=bytes_of(job.memory_limit),
        models=lambda k, kind: Mixture(families[kind], n_components=k),
    )  # fmt: skip
    report.show_progress("")
    return swept


def _heaviest_first(row: Row) -> Fit:
    """The best fit of a model, its components in order of falling weight."""
    fit = jax.tree.map(np.asarray, row.fits).best()
    order = np.argsort(-fit.params.weights, kind="stable")
    shared = shared_fields(row.model.family.constraints())
    return replace(fit, params=fit.params.take(order, shared))


def _show(outcome: Outcome) -> None:
    job, data, swept = outcome.job, outcome.data, outcome.swept
    kinds = {row.covariance_type for row in swept.rows}
    kind = f"{min(kinds)} covariance" if min(kinds) else job.family
    parts = [report.size_text(data.n, len(data.table.names)), *[kind] * (len(kinds) == 1)]
    parts += [f"{job.starts} starts each{report.devices_text(job)}"]
    title = f"{job.source}: {', '.join(parts)}"
    report.show_sweep(swept, title)
    if outcome.fit is not None:
        report.show_best(swept, outcome.fit, data.table.names)


def _write(outcome: Outcome, whole: bool) -> None:
    """The files asked for: of the `whole` sweep, or of the best model and the scores of each K."""
    job, swept, fit = outcome.job, outcome.swept, outcome.fit
    table, weight = outcome.data.table, outcome.data.weight
    metadata = {"columns": table.names, "source": job.source, "n_rows": outcome.data.n}
    scores = {row.n_components: row.criteria for row in swept.rows if row.criteria is not None}
    if job.out is not None and whole:
        io.write(job.out, swept, metadata, force=job.force)
    elif job.out is not None:
        rows = [{"n_components": k, **vars(score)} for k, score in scores.items()]
        # For other programs: the table over K and the names as arrays.
        arrays: dict[str, object] = {
            name: [getattr(score, name) for score in scores.values()]
            for name in ("bic", "aic", "icl", "icl_entropy")
        }
        arrays |= {"k": list(scores), "columns": table.names, "family": job.family}
        arrays |= {"covariance_type": swept.best.covariance_type or "none"}
        content = swept.best.model, fit
        io.write(job.out, content, {**metadata, "table": rows}, arrays, force=job.force)
    if job.plot is not None and fit is not None:
        from jaxem import plot

        if whole:
            figure = plot.new_figure(6.4, 4.4)
            axis = figure.add_subplot()
            plot.criterion(axis, swept, job.criterion, table.x, weight)
        else:
            curve = {k: score.bic for k, score in scores.items()}
            shown = swept.best.model, fit.params, table.x, table.names, curve, weight
            figure = plot.fit_figure(*shown)
        plot.save(figure, job.plot)
    if not job.json:
        picture = job.plot if fit is not None else None
        report.show_files(**{"sweep" if whole else "parameters": job.out, "picture": picture})


def _document(outcome: Outcome, seconds: float, compile_seconds: float) -> outputs.Document:
    """The result for other programs."""
    job, swept = outcome.job, outcome.swept
    kinds = {row.covariance_type for row in swept.rows}
    return {
        "source": job.source, "n_rows": outcome.data.n, "columns": outcome.data.table.names,
        "family": job.family, "covariance_type": (min(kinds) or None) if len(kinds) == 1 else None,
        "n_starts": job.starts, "devices": job.devices,
        **report.sweep_document(swept, outcome.fit),
        "out": job.out and str(job.out), "plot": job.plot and str(job.plot),
        "seconds": seconds, "compile_seconds": compile_seconds,
    }  # fmt: skip
