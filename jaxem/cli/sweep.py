"""`jaxem sweep`: read, check everything that can be checked, fit every model, print and write.

`jaxem fit` does the same for a single covariance type, and shows and keeps its winner.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

import jaxem
from jaxem import io
from jaxem.api.many_models import CRITERIA
from jaxem.cli import outputs, report
from jaxem.cli.families import build_family, devices_of, parse_range
from jaxem.cli.request import Job, check_job, check_rows, read_data
from jaxem.cli.tables import Table
from jaxem.core.compilation import compilations
from jaxem.core.precision import precision_of
from jaxem.core.protocols import Family
from jaxem.families.gaussian import as_gaussian
from jaxem.models import Mixture
from jaxem.results.fit import Fit
from jaxem.results.sweep import Row, Sweep

TYPES = "full,tied,diag,spherical"


@dataclass(frozen=True)
class Outcome:
    """The result of a command, and what it was made of."""

    job: Job
    table: Table
    weight: np.ndarray | None
    swept: Sweep
    fit: Fit | None  #: the best of the best model; None where no fit is sound

    def metadata(self) -> dict[str, object]:
        """The metadata of the file that is written."""
        return {
            "columns": self.table.names, "source": self.job.source, "n_rows": len(self.table.x),
        }  # fmt: skip


@dataclass(frozen=True)
class Command:
    """The parts in which `fit` and `sweep` differ."""

    types: Callable[[str | None], list[str]]  #: covariance types of the option --covariance
    winner: Callable[[Row], Fit]  #: the best fit of the best model, as it is shown and kept
    show: Callable[[Outcome], None]  #: print tables for people
    write: Callable[[Outcome], None]  #: write the files asked for


def run_sweep(job: Job, command: Command | None = None) -> bool:
    """Do the whole job; False when no model has a sound fit, ValueError for what can be mended."""
    command = command or SWEEP
    ks = parse_range(job.k)
    check_job(job)
    _check_criterion(job)
    table, weight = read_data(job)
    families = _families(job, table.x, command.types(job.covariance))
    check_rows(job, next(iter(families.values())), table, ks)
    if job.folds == 1 or not 0 <= job.folds <= len(table.x):
        raise ValueError(f"--folds must be 0, or from 2 to the number of rows; got {job.folds}.")
    began = time.perf_counter()
    with precision_of(table.x.dtype), compilations() as compiled:
        swept = _sweep(job, ks, families, table.x, weight)
        fit = command.winner(swept.best) if swept.sound else None
        outcome = Outcome(job, table, weight, swept, fit)
        if not job.json:
            command.show(outcome)
        command.write(outcome)
    seconds = time.perf_counter() - began
    if job.json:
        outputs.print_json(_document(outcome, seconds, compiled.seconds))
    else:
        report.show_time(seconds, compiled.seconds)
    return outcome.fit is not None


def _check_criterion(job: Job) -> None:
    if job.criterion not in CRITERIA or (job.criterion == "held_out") > (job.folds >= 2):
        raise ValueError(
            f"--criterion must be one of {', '.join(CRITERIA)}, held_out with --folds 2 or more; "
            f"got {job.criterion!r} with --folds {job.folds}."
        )


def _families(job: Job, x: np.ndarray, types: list[str]) -> dict[str, Family]:
    """The family of each covariance type; one under the name "" where it has none."""
    if job.family != "gaussian":
        return {"": build_family(job.family, job.covariance, job.trials, x)}
    built = [build_family("gaussian", name.strip(), job.trials, x) for name in types]
    return {as_gaussian(family).covariance_type: family for family in built}


def _sweep(
    job: Job, ks: list[int], families: dict[str, Family], x: np.ndarray, weight: np.ndarray | None
) -> Sweep:
    report.show_progress(f"{len(ks) * len(families)} models, {job.starts} starts each")
    swept = jaxem.sweep(
        x, ks, tuple(families), key=jax.random.key(job.seed), n_starts=job.starts,
        criterion=job.criterion, folds=job.folds, sample_weight=weight, tol=job.tol,
        max_iter=job.max_iter, race=job.race, split_merge=job.split_merge,
        devices=devices_of(job.devices),
        models=lambda k, kind: Mixture(families[kind], n_components=k),
    )  # fmt: skip
    report.show_progress("")
    return swept


def _show(outcome: Outcome) -> None:
    job, table = outcome.job, outcome.table
    starts = f"{job.starts} starts each{report.devices_text(job)}"
    report.show_sweep(outcome.swept, f"{job.source}: {report.size_text(table.x)}, {starts}")
    if outcome.fit is not None:
        report.show_best(outcome.swept, outcome.fit, table.names)


def _write(outcome: Outcome) -> None:
    job, swept = outcome.job, outcome.swept
    if job.out is not None:
        io.write(job.out, swept, outcome.metadata(), force=job.force)
    if job.plot is not None and swept.sound:
        from jaxem.plot import criterion, new_figure, save

        figure = new_figure(6.4, 4.4)
        axis = figure.add_subplot()
        criterion(axis, swept, job.criterion, outcome.table.x, outcome.weight)
        save(figure, job.plot)
    if not job.json:
        report.show_files(sweep=job.out, picture=job.plot if swept.sound else None)


SWEEP = Command(lambda text: (text or TYPES).split(","), lambda row: row.fits.best(), _show, _write)


def _document(outcome: Outcome, seconds: float, compile_seconds: float) -> outputs.Document:
    """The result for other programs."""
    job, swept = outcome.job, outcome.swept
    kinds = {row.covariance_type for row in swept.rows}
    return {
        "source": job.source, "n_rows": len(outcome.table.x), "columns": outcome.table.names,
        "family": job.family, "covariance_type": (min(kinds) or None) if len(kinds) == 1 else None,
        "n_starts": job.starts, "devices": job.devices,
        **report.sweep_document(swept, outcome.fit),
        "out": job.out and str(job.out), "plot": job.plot and str(job.plot),
        "seconds": seconds, "compile_seconds": compile_seconds,
    }  # fmt: skip
