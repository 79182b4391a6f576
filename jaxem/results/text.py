"""Fits and sweeps as text and as tables: statuses, optima, scores of models."""

from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from jaxem.core.repr import Table, concrete, counts_text, shape_text, short, total
from jaxem.core.status import MESSAGES, SOUND, Status
from jaxem.results.parameters import fields_of

if TYPE_CHECKING:
    from jaxem.results.fit import Fit
    from jaxem.results.sweep import Sweep

#: Most rows of a table; a last line counts the rows left out.
MAX_ROWS = 10

#: Columns of the table of a sweep: keys of `Sweep.table()` and their titles.
TITLES = {
    "n_components": "K",
    "covariance_type": "type",
    "log_likelihood": "log-likelihood",
    "n_parameters": "parameters",
    "bic": "BIC",
    "aic": "AIC",
    "icl": "ICL",
    "icl_entropy": "ICL (entropy)",
    "held_out": "held-out",
}


def fit_line(fit: "Fit") -> str:
    """One line: the number of fits, their best log-likelihood, the number of each status."""
    if not concrete(fit.status, fit.log_likelihood, fit.n_iter):
        return f"Fit(traced or not at hand, log_likelihood={shape_text(fit.log_likelihood)})"
    status = np.asarray(fit.status)
    if status.ndim == 0:
        likelihood = float(fit.log_likelihood)
        ended = Status(int(status)).name
        return (
            f"Fit({ended} after {int(fit.n_iter)} iterations, log-likelihood {total(likelihood)})"
        )
    parts = [" × ".join(map(str, status.shape)) + " fits"]
    sound = np.isin(status, SOUND)
    if not sound.any():
        parts.append("no sound fit")
    elif status.ndim == 1:
        best = np.asarray(fit.log_likelihood)[sound].max()
        parts.append(f"best log-likelihood {total(best)}")
    if status.size:
        parts.append(counts_text(fit.status_counts()))
    return f"Fit({', '.join(parts)})"


def fit_html(fit: "Fit") -> str:
    """One fit: its parameters. An axis of starts: distinct optima and statuses. Data sets: a row
    for each. A traced fit: its line."""
    if not concrete(fit.status, fit.log_likelihood, fit.n_iter) or not np.size(fit.status):
        return Table((), ()).html(fit_line(fit))
    dimensions = np.ndim(fit.status)
    if dimensions == 0:
        return _parameters(fit)
    return _endings(fit) if dimensions == 1 else data_set_table(fit).html(fit_line(fit))


def _parameters(fit: "Fit") -> str:
    """A row for each component, and a row for each parameter that the components share."""
    each, shared = fields_of(fit.params, fit.model)
    cells = {name: [short(part) for part in value] for name, value in each.items()}
    if hasattr(fit.params, "weights"):
        cells = {"weight": [f"{weight:.4f}" for weight in np.asarray(fit.params.weights)], **cells}
    rows = enumerate(zip_longest(*cells.values(), fillvalue=""), 1)
    first = "component" if "weight" in cells else "number"
    tables = [Table((first, *cells), [(k, *row) for k, row in rows])] if cells else []
    if shared:
        tables.append(Table(("parameter", "value"), [(n, short(v)) for n, v in shared.items()]))
    return "".join(table.html(fit_line(fit) if i == 0 else "") for i, table in enumerate(tables))


def _endings(fit: "Fit") -> str:
    """Distinct optima, best first, and the number of fits of each status."""
    optima = fit.optima()
    all_fits = max(optima.starts, 1)
    rows = [
        (f"{value:.4f}", count, f"{count / all_fits:.1%}")
        for value, count in zip(optima.values[:MAX_ROWS], optima.counts[:MAX_ROWS], strict=True)
    ]
    more = len(optima.values) - MAX_ROWS
    if more > 0:
        rows.append((f"{more} more", int(optima.counts[MAX_ROWS:].sum()), ""))
    optima_table = Table(("objective", "fits", "share"), rows, best=0)
    endings = [(n, name, MESSAGES[Status[name]]) for name, n in fit.status_counts().items()]
    endings_table = Table(("fits", "status", "meaning"), endings)
    return optima_table.html(fit_line(fit)) + endings_table.html("How they ended")


def data_set_table(fit: "Fit", most: int = MAX_ROWS) -> Table:
    """The best start of each of the first data sets, and how its starts ended."""
    rows = []
    for index in list(np.ndindex(fit.sound.shape[:-1]))[:most]:
        one = fit[index]
        sound = one.sound.any()
        number = f"{float(one.best().log_likelihood):.4f}" if sound else "no sound fit"
        at_best = f"{one.optima().best_count} of {np.size(one.status)}"
        rows.append((", ".join(map(str, index)), number, at_best, counts_text(one.status_counts())))
    more = int(np.prod(fit.sound.shape[:-1])) - len(rows)
    rows += [(f"{more} more", "", "", "")] * (more > 0)
    return Table(("data set", "best log-likelihood", "at best", "ended"), rows)


def sweep_text(sweep: "Sweep") -> str:
    """A line for each model, the best one marked."""
    few = sweep_table(sweep).without("parameters", "at best", "ended")
    return few.plain(f"best by {sweep.criterion}")


def sweep_html(sweep: "Sweep") -> str:
    """A row for each model, the best one bold."""
    return sweep_table(sweep).html(f"{len(sweep.rows)} models, best by {sweep.criterion} in bold")


def sweep_table(sweep: "Sweep") -> Table:
    """The rows of `Sweep.table()` as text. Columns that say nothing are left out: ICL by entropy
    is shown where it is the criterion, the held-out likelihood where it was computed, covariance
    types where there are any."""
    lines = sweep.table()
    optional = ("held_out", "covariance_type")
    empty = {key for key in optional if all(line[key] in (None, "") for line in lines)}
    hidden = {"icl_entropy", *empty}
    keys = [key for key in TITLES if key not in hidden or key == sweep.criterion]
    rows = []
    for line, row in zip(lines, sweep.rows, strict=True):
        cells = [_cell(key, line[key]) for key in keys]
        if row.criteria is None:
            cells[keys.index("log_likelihood")] = "no sound fit"
        ended = counts_text(row.fits.status_counts())
        rows.append([*cells, f"{line['best_count']} of {line['n_starts']}", ended])
    best = sweep.best if sweep.sound else None
    number = next((i for i, row in enumerate(sweep.rows) if row is best), None)
    return Table([*(TITLES[key] for key in keys), "at best", "ended"], rows, number)


def _cell(key: str, value: object) -> str:
    """A number with three digits behind the point, a mean per row with five; "-" for none."""
    if value is None or value != value:
        return "-"
    digits = 5 if key == "held_out" else 3
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
