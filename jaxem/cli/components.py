"""The components of a fit as tables on a terminal, numbered from 1 in the order they are stored."""

import sys

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

from jaxem.core.repr import short
from jaxem.families import Categorical
from jaxem.models import Mixture, MixtureParams

#: Most columns of a covariance matrix that is printed.
WIDEST = 8


def say(text: str) -> None:
    """One line, printed as it is."""
    print(text)


def printable(text: str) -> str:
    """A text from a file, its control characters replaced: a terminal would obey them."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def show_components(model: Mixture, params: MixtureParams, names: list[str]) -> None:
    """Weights, and the parameters of each column."""
    names = [printable(name) for name in names]
    if hasattr(params, "means") and hasattr(params, "covariances"):
        _show_gaussians(model, params, names)
    elif hasattr(params, "rates"):
        _show_cells(params, np.asarray(params.rates), "rate", names)
    elif hasattr(params, "probabilities"):
        _show_probabilities(model, params, names)
    else:
        _show_others(model, params)


def _show_gaussians(model: Mixture, params: MixtureParams, names: list[str]) -> None:
    from jaxem.plot.gaussians import covariance_matrices

    matrices = covariance_matrices(model, params)
    means = np.asarray(params.means)
    sds = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    cells = [
        [f"{_digits(m, s)} ± {_digits(s, s)}" for m, s in zip(means[k], sds[k], strict=True)]
        for k in range(len(means))
    ]
    _components("mean ± sd", params.weights, cells, names)
    if np.ndim(params.covariances) >= 2 and covariance_kind(model) not in ("diag", "spherical"):
        _show_covariances(_shared(model, "covariances"), matrices, names)


def _shared(model: Mixture, name: str) -> bool:
    return model.constraints()[name].shared


def covariance_kind(model: Mixture) -> str:
    """ "full" and so on; empty for families without covariances."""
    return getattr(model.family, "covariance_type", "")


def _show_covariances(shared: bool, matrices: np.ndarray, names: list[str]) -> None:
    if not 1 < len(names) <= WIDEST:
        return
    table = Table("component", "covariance", *names)
    _right(table, 2)
    for k, matrix in enumerate(matrices[:1] if shared else matrices):
        table.add_section()
        for i, name in enumerate(names):
            first = ("all" if shared else str(k + 1)) if i == 0 else ""
            table.add_row(first, name, *[f"{v:.4g}" for v in matrix[i]])
    print_table(table)


def _show_probabilities(model: Mixture, params: MixtureParams, names: list[str]) -> None:
    values = np.asarray(params.probabilities)
    if values.ndim == 3:
        family = model.family
        d = values.shape[1]
        levels = family.levels(d) if isinstance(family, Categorical) else (values.shape[2],) * d
        pairs = zip(names, levels, strict=True)
        names = [f"{name}={c}" for name, count in pairs for c in range(count)]
        values = np.concatenate([values[:, j, :count] for j, count in enumerate(levels)], axis=1)
    _show_cells(params, values.reshape(len(values), -1), "probability", names)


def _show_cells(params: MixtureParams, values: np.ndarray, what: str, names: list[str]) -> None:
    cells = [[f"{v:.4g}" for v in line] for line in values]
    _components(what, params.weights, cells, names)


def _show_others(model: Mixture, params: MixtureParams) -> None:
    """Any other family: shared parameters once, the others for each component."""
    fields = {name: np.asarray(value) for name, value in vars(params.components).items()}
    each = {name: value for name, value in fields.items() if not _shared(model, name)}
    table = Table("component", "weight", *each)
    for k, weight in enumerate(np.asarray(params.weights)):
        table.add_row(str(k + 1), f"{weight:.4f}", *[short(value[k]) for value in each.values()])
    _right(table, 1)
    print_table(table)
    for name in fields.keys() - each.keys():
        say(f"{name} of all components: {short(fields[name])}")


def _components(what: str, weights: ArrayLike, cells: list[list[str]], names: list[str]) -> None:
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
    print_table(table)


def _right(table: Table, first: int) -> None:
    for column in table.columns[first:]:
        column.justify = "right"


def _digits(value: float, scale: float) -> str:
    """`value` to three significant digits of `scale`."""
    if not (np.isfinite(scale) and scale > 0):
        return f"{value:.4g}"
    places = int(np.clip(2 - np.floor(np.log10(scale)), 0, 12))
    return f"{value:.{places}f}"


def print_table(table: Table) -> None:
    """Print at the width of the terminal; in a file or pipe at the width of the table."""
    width = None if sys.stdout.isatty() else 200
    Console(width=width, markup=False, emoji=False).print(table)
