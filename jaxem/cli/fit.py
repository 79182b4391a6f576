"""`jaxem fit`: read, check everything that can be checked, fit every K, print and write."""

import time
from typing import Any

import numpy as np

from jaxem import io
from jaxem.api.many_models import padding
from jaxem.cli import outputs, report
from jaxem.cli.families import Row, build_family, devices_of, fit_one, parse_range
from jaxem.cli.request import Job, check_job, check_rows, read_data
from jaxem.cli.tables import Table
from jaxem.core.compilation import compilations
from jaxem.core.precision import precision_of
from jaxem.models import Mixture


def run_job(job: Job) -> bool:
    """Do the whole job; False when no K has a sound fit, ValueError for what the user can mend."""
    ks = parse_range(job.k)
    check_job(job)
    table, weight = read_data(job)
    family = build_family(job.family, job.covariance, job.trials, table.x)
    check_rows(job, family, table, ks)
    began = time.perf_counter()
    with precision_of(table.x.dtype), compilations() as compiled:
        rows = _fit_all(job, family, table.x, weight, ks)
        best = min((row for row in rows if row.criteria is not None), key=_bic, default=None)
        if not job.json:
            report.show_table(job, table.x, rows)
            if best is not None:
                report.show_winner(best, table.names)
        if best is not None:
            _write(job, best, rows, table, weight)
    seconds = time.perf_counter() - began
    if job.json:
        outputs.print_json(_document(job, best, rows, table, seconds, compiled.seconds))
    else:
        report.show_time(seconds, compiled.seconds)
    return best is not None


def _bic(row: Row) -> float:
    return np.inf if row.criteria is None else row.criteria.bic


def _fit_all(job: Job, family: Any, x: np.ndarray, weight: Any, ks: list[int]) -> list[Row]:
    rows = []
    grid = [(k, "") for k in ks]
    pad = padding(lambda k, _: Mixture(family, n_components=k), grid, len(x) * job.starts, {})
    for k in ks:
        report.show_progress(f"K = {k} of {job.k}: {job.starts} starts")
        limits = job.tol, job.max_iter, job.race, job.generations, devices_of(job.devices)
        more = job.starts, job.seed, *limits, pad.get((k, ""))
        rows.append(fit_one(family, x, weight, k, *more))
    report.show_progress("")
    return rows


def _write(job: Job, best: Row, rows: list[Row], table: Table, weight: Any) -> None:
    """The files asked for, of the winner and the table over K."""
    sound = [row for row in rows if row.criteria is not None]
    if job.out is not None:
        facts = {"columns": table.names, "source": job.source, "n_rows": len(table.x)}
        facts["table"] = [{"n_components": row.k, **vars(row.criteria)} for row in sound]
        # For other programs: the table over K and the names as arrays.
        beside: dict[str, Any] = {
            name: [getattr(row.criteria, name) for row in sound]
            for name in ("bic", "aic", "icl", "icl_entropy")
        }
        beside |= {"k": [row.k for row in sound], "columns": table.names}
        beside |= {"family": job.family, "covariance_type": best.covariance_type or "none"}
        io.write(job.out, (best.model, best.fit), facts, beside, force=job.force)
    if job.plot is not None:
        from jaxem.plot import fit_figure, save

        curve = {row.k: row.criteria.bic for row in sound if row.criteria}
        figure = fit_figure(best.model, best.fit.params, table.x, table.names, curve, weight)
        save(figure, job.plot)
    if not job.json:
        report.show_files(parameters=job.out, picture=job.plot)


def _document(job: Job, best: Row | None, rows: list[Row], table: Table, *seconds: float) -> dict:
    """What was found, for machines."""
    return {
        "source": job.source, "n_rows": len(table.x), "columns": table.names,
        "family": job.family, "covariance_type": rows[0].covariance_type or None,
        "n_starts": job.starts, "devices": job.devices, "criterion": "bic",
        "models": [
            {"n_components": row.k, **report.criteria_document(row.criteria),
             "best_count": row.reached, "statuses": row.statuses}
            for row in rows
        ],
        "best": None if best is None else report.fit_document(best.model, best.fit),
        "out": job.out and str(job.out), "plot": job.plot and str(job.plot),
        "seconds": seconds[0], "compile_seconds": seconds[1],
    }  # fmt: skip
