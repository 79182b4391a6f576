"""`jaxem sweep`: numbers of components × covariance types × starts, and the best by a criterion."""

import time
from typing import Any

import jax

import jaxem
from jaxem import io
from jaxem.api.many_models import CRITERIA
from jaxem.cli import outputs, report
from jaxem.cli.families import build_family, devices_of, parse_range
from jaxem.cli.request import Job, check_job, check_rows, read_data
from jaxem.cli.tables import Table
from jaxem.core.compilation import compilations
from jaxem.core.precision import precision_of
from jaxem.models import Mixture
from jaxem.results.sweep import Sweep

TYPES = "full,tied,diag,spherical"


def run_sweep(job: Job) -> bool:
    """Do the whole job; False when no model has a sound fit, ValueError for what can be mended."""
    ks = parse_range(job.k)
    check_job(job)
    if job.criterion not in CRITERIA or (job.criterion == "held_out") > (job.folds >= 2):
        raise ValueError(
            f"--criterion must be one of {', '.join(CRITERIA)}, held_out with --folds 2 or more; "
            f"got {job.criterion!r} with --folds {job.folds}."
        )
    table, weight = read_data(job)
    families = _families(job, table)
    check_rows(job, next(iter(families.values())), table, ks)
    if job.folds == 1 or not 0 <= job.folds <= len(table.x):
        raise ValueError(f"--folds must be 0, or from 2 to the number of rows; got {job.folds}.")
    began = time.perf_counter()
    with precision_of(table.x.dtype), compilations() as compiled:
        report.show_progress(f"{len(ks) * len(families)} models, {job.starts} starts each")
        swept = jaxem.sweep(
            table.x, ks, tuple(families), key=jax.random.key(job.seed), n_starts=job.starts,
            criterion=job.criterion, folds=job.folds, sample_weight=weight, tol=job.tol,
            max_iter=job.max_iter, race=job.race, generations=job.generations,
            devices=devices_of(job.devices),
            models=lambda k, kind: Mixture(families[kind], n_components=k),
        )  # fmt: skip
        report.show_progress("")
        found = any(row.criteria is not None for row in swept.rows)
        _tell(job, swept, table, found)
        _write(job, swept, table, weight, found)
    seconds = time.perf_counter() - began
    if job.json:
        outputs.print_json(_document(job, swept, table, found, seconds, compiled.seconds))
    else:
        report.show_time(seconds, compiled.seconds)
    return found


def _families(job: Job, table: Table) -> dict[str, Any]:
    """The family of each covariance type; a single one, without a type, that is not Gaussian."""
    if job.family != "gaussian":
        return {"": build_family(job.family, job.covariance, job.trials, table.x)}
    kinds = (job.covariance or TYPES).split(",")
    built = [build_family("gaussian", kind.strip(), job.trials, table.x) for kind in kinds]
    return {family.covariance_type: family for family in built}


def _tell(job: Job, swept: Sweep, table: Table, found: bool) -> None:
    if job.json:
        return
    starts = f"{job.starts} starts each{report.devices_text(job)}"
    report.show_sweep(swept, f"{job.source}: {report.size_text(table.x)}, {starts}")
    if found:
        best = swept.best
        report.show_best(swept, best.fits.best(), table.names)


def _write(job: Job, swept: Sweep, table: Table, weight: Any, found: bool) -> None:
    if job.out is not None:
        facts = {"columns": table.names, "source": job.source, "n_rows": len(table.x)}
        io.write(job.out, swept, facts, force=job.force)
    if job.plot is not None and found:
        from jaxem.plot import criterion, new_figure, save

        figure = new_figure(6.4, 4.4)
        criterion(figure.add_subplot(), swept, job.criterion, table.x, weight)
        save(figure, job.plot)
    if not job.json:
        report.show_files(sweep=job.out, picture=job.plot if found else None)


def _document(job: Job, swept: Sweep, table: Table, found: bool, *seconds: float) -> dict:
    """What was found, for machines."""
    return {
        "source": job.source, "n_rows": len(table.x), "columns": table.names,
        "family": job.family, "n_starts": job.starts, "devices": job.devices,
        **report.sweep_document(swept, found),
        "out": job.out and str(job.out), "plot": job.plot and str(job.plot),
        "seconds": seconds[0], "compile_seconds": seconds[1],
    }  # fmt: skip
