"""What the commands print: tables over models, the winner, files, the time; and progress.

Each has a twin for machines: a document that `outputs.print_json` prints.
"""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.table import Table

from jaxem.cli.components import print_table, printable, say, show_components
from jaxem.cli.families import devices_of
from jaxem.core.repr import counts
from jaxem.core.status import Status
from jaxem.devices.placement import placement_of


def size_text(x: np.ndarray) -> str:
    """Rows and columns in words."""
    n, d = x.shape
    return f"{n} rows, {d} column{'s' * (d > 1)}"


def devices_text(job: Any) -> str:
    """How many devices share the starts, where the user chose."""
    if job.devices is None:
        return ""
    count = placement_of(devices_of(job.devices)).devices
    return f", on {count} device{'s' * (count > 1)}"


def show_table(job: Any, x: np.ndarray, rows: list[Any]) -> None:
    """One line for each K; the lowest BIC is marked."""
    kind = rows[0].covariance_type
    what = f"{kind} covariance" if kind else job.family
    say(f"{job.source}: {size_text(x)}, {what}, {job.starts} starts for each K{devices_text(job)}")
    table = Table("K", "log-likelihood", "BIC", "AIC", "ICL", "at best", "ended")
    _numbers_right(table)
    lowest = min((row.criteria.bic for row in rows if row.criteria), default=None)
    for row in rows:
        numbers = _criteria(row.criteria)
        if row.criteria is not None and row.criteria.bic == lowest and len(rows) > 1:
            numbers[1] += "*"
        ended = ", ".join(f"{count} {name}" for name, count in row.statuses.items())
        table.add_row(str(row.k), *numbers, f"{row.reached}/{job.starts}", ended)
    print_table(table)
    say("BIC, AIC, ICL: lower is better. At best: sound starts that ended at the best one.")


def _numbers_right(table: Table) -> None:
    for column in table.columns[:-1]:
        column.justify, column.no_wrap = "right", True


def _criteria(c: Any) -> list[str]:
    return [_number(c, name) for name in ("log_likelihood", "bic", "aic", "icl")]


def _number(c: Any, name: str) -> str:
    value = None if c is None else getattr(c, name)
    return "-" if value is None else f"{value:.2f}"


def show_winner(row: Any, names: list[str]) -> None:
    """The fit of lowest BIC."""
    say(f"\nLowest BIC: K = {row.k}, {ending(row.fit)}")
    show_components(row.model, row.fit.params, names)


def ending(fit: Any) -> str:
    """How one fit ended."""
    return f"{Status(int(fit.status)).name} after {int(fit.n_iter)} iterations"


def show_sweep(swept: Any, title: str) -> None:
    """One line for each model of a sweep; the best by its criterion is marked."""
    say(title)
    scored = any(row.held_out is not None for row in swept.rows)
    found = any(row.criteria is not None for row in swept.rows)
    best = swept.best if found else None
    asked = swept.criterion == "icl_entropy"  # a column of its own where it decides
    head = ["K", "type", "log-likelihood", "BIC", "AIC", "ICL", *["ICL (entropy)"] * asked]
    head += ["held-out"] * scored
    table = Table(*head, "at best", "ended")
    _numbers_right(table)
    for row in swept.rows:
        numbers = [*_criteria(row.criteria), *[_number(row.criteria, "icl_entropy")] * asked]
        numbers += ["-" if row.held_out is None else f"{row.held_out:.5f}"] * scored
        where = head.index(_TITLES[swept.criterion]) - 2
        numbers[where] += "*" if row is best and len(swept.rows) > 1 else ""
        status = np.asarray(row.fits.status)
        ended = counts(Status(code).name for code in status.tolist())
        reached = f"{row.best_count}/{status.size}"
        table.add_row(
            str(row.n_components), printable(row.covariance_type), *numbers, reached, ended
        )
    print_table(table)
    say("BIC, AIC, ICL: lower is better. At best: sound starts that ended at the best one.")


_TITLES = {
    "bic": "BIC", "aic": "AIC", "icl": "ICL", "icl_entropy": "ICL (entropy)",
    "held_out": "held-out",
}  # fmt: skip


def show_best(swept: Any, fit: Any, names: list[str]) -> None:
    """The best fit of the best model of a sweep."""
    best = swept.best
    kind = f"{printable(best.covariance_type)} covariance, " if best.covariance_type else ""
    name = _TITLES[swept.criterion]
    say(f"\nBest {name}: K = {best.n_components}, {kind}{ending(fit)}")
    show_components(best.model, fit.params, names)


def show_files(**paths: Any) -> None:
    """A line for each file that was written."""
    for what, path in paths.items():
        if path is not None:
            say(f"{what}: {path}")


def show_time(total: float, compiling: float) -> None:
    """Seconds in all, and how many of them went into compiling."""
    say(f"\n{total:.1f} s, of which {min(compiling, total):.1f} s compiling")


def show_progress(text: str) -> None:
    """Renew a line on stderr, only on a terminal; an empty text removes it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


# For machines --------------------------------------------------------------------------------


def criteria_document(c: Any) -> dict[str, Any]:
    """Criteria by name, null where no fit is sound."""
    names = ("log_likelihood", "n_parameters", "bic", "aic", "icl", "icl_entropy")
    return {name: None if c is None else getattr(c, name) for name in names}


def params_document(model: Any, params: Any) -> dict[str, Any]:
    """The model in words, and its parameters by name."""
    own = {"weights": params.weights, **vars(params.components)}
    return {"model": repr(model), "n_components": model.n_components, **own}


def fit_document(model: Any, fit: Any) -> dict[str, Any]:
    """One fit: how it ended, and its parameters by name."""
    return {
        "status": Status(int(fit.status)).name, "n_iter": fit.n_iter,
        "log_likelihood": fit.log_likelihood, **params_document(model, fit.params),
    }  # fmt: skip


def statuses(codes: Iterable[int]) -> dict[str, int]:
    """How many fits ended how."""
    values, numbers = np.unique(np.asarray(codes), return_counts=True)
    return {Status(v).name: int(n) for v, n in zip(values, numbers, strict=True)}


def sweep_document(swept: Any, found: bool) -> dict[str, Any]:
    """All models of a sweep, and the best one's best fit."""
    models = [
        {**line, "statuses": statuses(row.fits.status)}
        for line, row in zip(swept.table(), swept.rows, strict=True)
    ]
    best = swept.best if found else None
    return {
        "criterion": swept.criterion, "models": models,
        "best": best and {"covariance_type": best.covariance_type or None,
                          **fit_document(best.model, best.fits.best())},
    }  # fmt: skip
