"""What `jaxem fit` prints: the table over K, the winner's parameters, the time; and progress."""

import sys
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from jaxem.status import Status

#: Covariance matrices of more columns than this are left to --out.
WIDEST = 8


def say(text: str) -> None:
    """One line, printed as it is."""
    print(text)


def show_table(job: Any, x: np.ndarray, rows: list[Any]) -> None:
    """One line for each K; the lowest BIC is marked."""
    n, d = x.shape
    kind = rows[0].covariance_type
    what = f"{kind} covariance" if kind else job.family
    say(
        f"{job.source}: {n} rows, {d} column{'s' * (d > 1)}, {what}, {job.starts} starts for each K"
    )
    table = Table("K", "log-likelihood", "BIC", "AIC", "ICL", "at best", "ended")
    for column in table.columns[:-1]:
        column.justify, column.no_wrap = "right", True
    lowest = min((row.criteria.bic for row in rows if row.criteria), default=None)
    for row in rows:
        c = row.criteria
        numbers = ["-"] * 4
        if c is not None:
            numbers = [f"{v:.2f}" for v in (c.log_likelihood, c.bic, c.aic, c.icl)]
            numbers[1] += "*" if c.bic == lowest and len(rows) > 1 else ""
        ended = ", ".join(f"{count} {name}" for name, count in row.statuses.items())
        table.add_row(str(row.k), *numbers, f"{row.reached}/{job.starts}", ended)
    _print(table)
    say("BIC, AIC, ICL: lower is better. At best: sound starts that ended at the best one.")


def show_winner(row: Any, names: list[str]) -> None:
    """Components, heaviest first: weights, and the parameters of each column."""
    params = row.fit.params
    ended = Status(int(row.fit.status)).name
    say(f"\nLowest BIC: K = {row.k}, {ended} after {int(row.fit.n_iter)} iterations")
    if hasattr(params, "means"):
        _show_gaussians(row, names)
    elif hasattr(params, "rates"):
        _show_cells(params, np.asarray(params.rates), "rate", names)
    else:
        _show_probabilities(params, names)


def _show_gaussians(row: Any, names: list[str]) -> None:
    from jaxem.plot.gaussians import covariance_matrices

    params = row.fit.params
    matrices = covariance_matrices(row.model, params)
    means = np.asarray(params.means)
    sds = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    cells = [
        [f"{_digits(m, s)} ± {_digits(s, s)}" for m, s in zip(means[k], sds[k], strict=True)]
        for k in range(len(means))
    ]
    _components("mean ± sd", params.weights, cells, names)
    if row.covariance_type in ("full", "tied") and 1 < len(names) <= WIDEST:
        _show_covariances(row, matrices, names)


def _show_covariances(row: Any, matrices: np.ndarray, names: list[str]) -> None:
    shared = row.covariance_type == "tied"
    table = Table("component", "covariance", *names)
    _right(table, 2)
    for k, matrix in enumerate(matrices[:1] if shared else matrices):
        table.add_section()
        for i, name in enumerate(names):
            first = ("all" if shared else str(k + 1)) if i == 0 else ""
            table.add_row(first, name, *[f"{v:.4g}" for v in matrix[i]])
    _print(table)


def _show_probabilities(params: Any, names: list[str]) -> None:
    values = np.asarray(params.probabilities)
    if values.ndim == 3:
        names = [f"{name}={c}" for name in names for c in range(values.shape[2])]
    _show_cells(params, values.reshape(len(values), -1), "probability", names)


def _show_cells(params: Any, values: np.ndarray, what: str, names: list[str]) -> None:
    cells = [[f"{v:.4g}" for v in line] for line in values]
    _components(what, params.weights, cells, names)


def _components(what: str, weights: Any, cells: list[list[str]], names: list[str]) -> None:
    """Components as rows; as columns where there are many features."""
    say(f"weight of each component, and {what} of each column:")
    shares = [f"{weight:.4f}" for weight in np.asarray(weights)]
    if len(names) <= WIDEST:
        table = Table("component", "weight", *names)
        for k, share in enumerate(shares):
            table.add_row(str(k + 1), share, *cells[k])
    else:
        table = Table("column", *[f"component {k + 1}" for k in range(len(cells))])
        table.add_row("weight", *shares)
        for j, name in enumerate(names):
            table.add_row(name, *[line[j] for line in cells])
    _right(table, 1)
    _print(table)


def _right(table: Table, first: int) -> None:
    for column in table.columns[first:]:
        column.justify = "right"


def _digits(value: float, scale: float) -> str:
    """`value` to three significant digits of `scale`."""
    if not (np.isfinite(scale) and scale > 0):
        return f"{value:.4g}"
    places = int(np.clip(2 - np.floor(np.log10(scale)), 0, 12))
    return f"{value:.{places}f}"


def show_time(total: float, compiling: float) -> None:
    """Seconds in all, and how many of them went into compiling."""
    say(f"\n{total:.1f} s, of which {min(compiling, total):.1f} s compiling")


def show_progress(text: str) -> None:
    """Renew a line on stderr, only on a terminal; an empty text removes it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


def _print(table: Table) -> None:
    """On a terminal as wide as it is; in a file or pipe as wide as the table needs."""
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, emoji=False).print(table)
