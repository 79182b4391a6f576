"""Fits and sweeps in words and as tables: how many starts ended how, at which optima, and which
model is best."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from jaxem.core.repr import concrete, counts, shape_text, short, table, total
from jaxem.core.status import MESSAGES, SOUND, Status

#: Rows of a table; what is left out is counted.
MOST = 10


def fit_line(fit: Any) -> str:
    """One line: how many fits, the best log-likelihood of one axis of fits, how they ended."""
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
        parts.append(counts(Status(code).name for code in status.ravel().tolist()))
    return f"Fit({', '.join(parts)})"


def fit_html(fit: Any) -> str:
    """Of one fit its components; of starts their distinct optima and endings; of data sets a row
    each. A fit that is traced shows its line only."""
    if not concrete(fit.status, fit.log_likelihood, fit.n_iter) or not np.size(fit.status):
        return table(fit_line(fit), (), ())
    dimensions = np.ndim(fit.status)
    if dimensions == 0:
        return _components(fit)
    return _endings(fit) if dimensions == 1 else _data_sets(fit)


def _components(fit: Any) -> str:
    """Weights and parameters, a row for each component."""
    weights = np.asarray(fit.params.weights)
    own = {name: np.asarray(value) for name, value in vars(fit.params.components).items()}
    each = {name: value for name, value in own.items() if value.shape[:1] == weights.shape}
    rows = [
        (k + 1, f"{weight:.4f}", *(short(value[k]) for value in each.values()))
        for k, weight in enumerate(weights)
    ]
    return table(fit_line(fit), ("component", "weight", *each), rows)


def _endings(fit: Any) -> str:
    """Where the fits ended, best first, and how."""
    optima = fit.optima()
    all_fits = max(optima.starts, 1)
    rows = [
        (f"{value:.4f}", count, f"{count / all_fits:.1%}")
        for value, count in zip(optima.values[:MOST], optima.counts[:MOST], strict=True)
    ]
    more = len(optima.values) - MOST
    if more > 0:
        rows.append((f"{more} more", int(optima.counts[MOST:].sum()), ""))
    where = table(fit_line(fit), ("objective", "fits", "share"), rows, bold=0)
    codes, numbers = np.unique(np.asarray(fit.status), return_counts=True)
    how = [
        (number, Status(code).name, MESSAGES[Status(code)])
        for code, number in zip(codes, numbers, strict=True)
    ]
    return where + table("How they ended", ("fits", "status", "meaning"), how)


def _data_sets(fit: Any) -> str:
    """The best start of each data set."""
    sound = np.isin(np.asarray(fit.status), SOUND)
    likelihood = np.where(sound, np.asarray(fit.log_likelihood), -np.inf)
    rows = []
    for index in list(np.ndindex(sound.shape[:-1]))[:MOST]:
        best = likelihood[index].max(initial=-np.inf)
        ended = counts(Status(int(code)).name for code in np.asarray(fit.status)[index])
        number = f"{best:.4f}" if np.isfinite(best) else "no sound fit"
        rows.append((", ".join(map(str, index)), number, ended))
    more = int(np.prod(sound.shape[:-1])) - len(rows)
    if more > 0:
        rows.append((f"{more} more", "", ""))
    return table(fit_line(fit), ("data set", "best log-likelihood", "starts ended"), rows)


def sweep_text(sweep: Any) -> str:
    """A line for each model, the best one marked."""
    names = _shown(sweep)
    head = f"{'K':>3} {'type':<10} {'log-likelihood':>15}"
    best, lines = best_row(sweep), [head + "".join(f" {title:>12}" for title in names.values())]
    for row in sweep.rows:
        numbers = _numbers(row.criteria, ("log_likelihood", *names))
        line = f"{row.n_components:>3} {row.covariance_type:<10} {numbers[0]:>15.3f}"
        line += "".join(f" {value:>12.3f}" for value in numbers[1:])
        lines.append(line + (f"  best by {sweep.criterion}" if row is best else ""))
    return "\n".join(lines)


def sweep_html(sweep: Any) -> str:
    """A row for each model, the best one bold."""
    names = _shown(sweep)
    head = ["K", "type", "log-likelihood", "parameters", *names.values()]
    scored = any(row.held_out is not None for row in sweep.rows)
    head += ["held-out", "at best", "ended"] if scored else ["at best", "ended"]
    best, rows = best_row(sweep), []
    for row in sweep.rows:
        cells = [row.n_components, row.covariance_type, *_cells(row.criteria, names)]
        if scored:
            cells.append("" if row.held_out is None else f"{row.held_out:.5f}")
        status = np.asarray(row.fits.status).ravel()
        cells.append(f"{row.best_count} of {status.size}")
        rows.append([*cells, counts(Status(code).name for code in status.tolist())])
    where = next((i for i, row in enumerate(sweep.rows) if row is best), None)
    return table(f"{len(rows)} models, best by {sweep.criterion} in bold", head, rows, where)


def best_row(sweep: Any) -> Any:
    """The best row, None where no model has a sound fit."""
    return sweep.best if any(row.criteria is not None for row in sweep.rows) else None


def _shown(sweep: Any) -> dict[str, str]:
    """The criteria that have a column, and its title: ICL by entropy only where it decides."""
    names = {"bic": "BIC", "aic": "AIC", "icl": "ICL"}
    return names | ({"icl_entropy": "ICL entropy"} if sweep.criterion == "icl_entropy" else {})


def _numbers(c: Any, names: Iterable[str]) -> list[float]:
    """Criteria by name, NaN for what is not known."""
    values = [getattr(c, name, None) for name in names]
    return [np.nan if value is None else value for value in values]


def _cells(c: Any, names: Collection[str]) -> list[str]:
    if c is None:
        return ["no sound fit", "", *[""] * len(names)]
    own = [f"{value:.3f}" for value in _numbers(c, names)]
    return [f"{c.log_likelihood:.3f}", str(c.n_parameters), *own]
