"""`jaxem fit`: a sweep over the number of components, whose winner by BIC is shown and kept."""

import jax
import numpy as np

from jaxem import io
from jaxem.cli import report
from jaxem.cli.request import Job
from jaxem.cli.sweep import Command, Outcome, run_sweep
from jaxem.core.constraints import shared_fields
from jaxem.core.trees import replace
from jaxem.results.fit import Fit
from jaxem.results.sweep import Row


def run_fit(job: Job) -> bool:
    """Do the whole job; False when no K has a sound fit, ValueError for what the user can mend."""
    return run_sweep(job, FIT)


def _heaviest_first(row: Row) -> Fit:
    """The best fit of a model, its components in order of falling weight."""
    fit = jax.tree.map(np.asarray, row.fits).best()
    order = np.argsort(-fit.params.weights, kind="stable")
    return replace(
        fit, params=fit.params.take(order, shared_fields(row.model.family.constraints()))
    )


def _show(outcome: Outcome) -> None:
    """The table over K, and the mixture of lowest BIC."""
    job, table, swept = outcome.job, outcome.table, outcome.swept
    kind = swept.rows[0].covariance_type
    what = f"{kind} covariance" if kind else job.family
    starts = f"{job.starts} starts for each K{report.devices_text(job)}"
    title = f"{job.source}: {report.size_text(table.x)}, {what}, {starts}"
    report.show_sweep(swept, title, "type")
    if outcome.fit is not None:
        report.show_winner("Lowest BIC", swept.best.model, "", outcome.fit, table.names)


def _write(outcome: Outcome) -> None:
    """The files asked for, of the winner and the table over K."""
    job, table, fit = outcome.job, outcome.table, outcome.fit
    if fit is None:
        return
    best = outcome.swept.best
    scores = {
        row.n_components: row.criteria for row in outcome.swept.rows if row.criteria is not None
    }
    if job.out is not None:
        rows = [{"n_components": k, **vars(score)} for k, score in scores.items()]
        # For other programs: the table over K and the names as arrays.
        arrays: dict[str, object] = {
            name: [getattr(score, name) for score in scores.values()]
            for name in ("bic", "aic", "icl", "icl_entropy")
        }
        arrays |= {"k": list(scores), "columns": table.names, "family": job.family}
        arrays |= {"covariance_type": best.covariance_type or "none"}
        metadata = {**outcome.metadata(), "table": rows}
        io.write(job.out, (best.model, fit), metadata, arrays, force=job.force)
    if job.plot is not None:
        from jaxem.plot import fit_figure, save

        curve = {k: score.bic for k, score in scores.items()}
        parts = best.model, fit.params, table.x, table.names, curve, outcome.weight
        save(fit_figure(*parts), job.plot)
    if not job.json:
        report.show_files(parameters=job.out, picture=job.plot)


FIT = Command(lambda text: [text or "full"], _heaviest_first, _show, _write)
