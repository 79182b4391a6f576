"""`jaxem fit`: read, check everything that can be checked, fit every K, print and write."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxem.cli import outputs, report
from jaxem.cli.sweep import Row, build_family, fit_one, parse_range
from jaxem.clock import compilations
from jaxem.fit import precision_of
from jaxem.models import Mixture
from jaxem.select import padding
from jaxem.tables import column_index, read_table


@dataclass(frozen=True)
class Job:
    """What was asked for, as typed."""

    source: str
    k: str = "1:4"
    family: str = "gaussian"
    covariance: str | None = None
    trials: int | None = None
    starts: int = 100
    seed: int = 0
    tol: float = 1e-6
    max_iter: int = 1000
    race: bool | None = None
    columns: str | None = None
    sample_weight: str | None = None
    header: bool | None = None
    plot: Path | None = None
    out: Path | None = None


def run_job(job: Job) -> bool:
    """Do the whole job; False when no K has a sound fit, ValueError for what the user can mend."""
    ks = parse_range(job.k)
    _check_numbers(job)
    if job.plot is not None:
        outputs.check_picture(job.plot)
    if job.out is not None:
        outputs.check_file(job.out, "--out")
    x, weight, names = _read(job)
    family = build_family(job.family, job.covariance, job.trials, x)
    _check_rows(job, family, x, ks)
    began = time.perf_counter()
    with precision_of(x.dtype), compilations() as compiled:
        rows = _fit_all(job, family, x, weight, ks)
        report.show_table(job, x, rows)
        best = min((row for row in rows if row.criteria is not None), key=_bic, default=None)
        if best is not None:
            report.show_winner(best, names)
            _write(job, best, rows, x, weight, names)
    report.show_time(time.perf_counter() - began, compiled.seconds)
    return best is not None


def _bic(row: Row) -> float:
    return np.inf if row.criteria is None else row.criteria.bic


def _check_numbers(job: Job) -> None:
    if job.starts < 1:
        raise ValueError(f"--starts must be at least 1; got {job.starts}.")
    if job.max_iter < 1:
        raise ValueError(f"--max-iter must be at least 1; got {job.max_iter}.")
    if not job.tol >= 0:
        raise ValueError(f"--tol must not be negative; got {job.tol}.")


def _read(job: Job) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """Rows, their weights if a column was named for them, and the names of the columns."""
    if job.sample_weight is None:
        x, names = read_table(job.source, job.columns, job.header)
        return x, None, names
    if job.columns is None:
        x, names = read_table(job.source, None, job.header)
        j = column_index(job.sample_weight, names, job.source)
        weight, x = x[:, j], np.delete(x, j, axis=1)
        names = names[:j] + names[j + 1 :]
    else:
        both = f"{job.columns},{job.sample_weight}"
        x, names = read_table(job.source, both, job.header)
        weight, x, names = x[:, -1], x[:, :-1], names[:-1]
    if not names:
        raise ValueError(f"{job.source}: no column is left beside the weights.")
    if weight.min() < 0 or weight.max() <= 0:
        raise ValueError(
            f"{job.source}, column {job.sample_weight!r}: weights must not be negative, "
            "and one must be positive."
        )
    return x, weight, names


def _check_rows(job: Job, family: Any, x: np.ndarray, ks: list[int]) -> None:
    if ks[-1] > len(x):
        raise ValueError(f"-k goes up to {ks[-1]}, but {job.source} has only {len(x)} rows.")
    try:
        family.validate(x)
    except ValueError as error:
        raise ValueError(f"{job.source}: {error} (rows count from 0)") from error


def _fit_all(job: Job, family: Any, x: np.ndarray, weight: Any, ks: list[int]) -> list[Row]:
    rows = []
    grid = [(k, "") for k in ks]
    pad = padding(lambda k, _: Mixture(family, n_components=k), grid, len(x) * job.starts, {})
    for k in ks:
        report.show_progress(f"K = {k} of {job.k}: {job.starts} starts")
        limits = job.tol, job.max_iter, job.race
        more = job.starts, job.seed, *limits, pad.get((k, ""))
        rows.append(fit_one(family, x, weight, k, *more))
    report.show_progress("")
    return rows


def _write(
    job: Job, best: Row, rows: list[Row], x: np.ndarray, weight: Any, names: list[str]
) -> None:
    sound = [row for row in rows if row.criteria is not None]
    if job.out is not None:
        params = best.fit.params
        scores = [row.criteria for row in sound]
        table = {name: [getattr(c, name) for c in scores] for name in ("bic", "aic", "icl")}
        table["k"] = [row.k for row in sound]
        content: dict[str, Any] = {"weights": params.weights, **vars(params.components), **table}
        content |= {"family": job.family, "covariance_type": best.covariance_type}
        content |= {"columns": names, "status": best.fit.status}
        content |= {"log_likelihood": best.fit.log_likelihood}
        with open(job.out, "wb") as file:
            np.savez(file, **content)
        report.say(f"parameters: {job.out}")
    if job.plot is not None:
        from jaxem.plot import fit_figure, save

        curve = {row.k: row.criteria.bic for row in sound if row.criteria}
        save(fit_figure(best.model, best.fit.params, x, names, curve, weight), job.plot)
        report.say(f"picture: {job.plot}")
