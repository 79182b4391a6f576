"""The components of a fit as tables on a terminal, numbered from 1 in the order they are stored."""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table

from jaxem.core.constraints import SymmetricPD
from jaxem.core.repr import short
from jaxem.families.gaussian import GaussianFamily
from jaxem.models import Mixture, MixtureParams
from jaxem.results.parameters import columns, fields_of

#: Most columns of a covariance matrix that is printed.
WIDEST = 8


def say(text: str) -> None:
    """One line, printed as it is."""
    print(text)


def printable(text: str) -> str:
    """A text from a file, its control characters replaced: a terminal would obey them."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def show_components(model: Mixture, params: MixtureParams, names: list[str]) -> None:
    """Weights, and the parameters of each column; parameters that all components share."""
    names = [printable(name) for name in names]
    if isinstance(model.family, GaussianFamily):
        _show_gaussians(model, params, names)
        return
    each, shared = fields_of(params, model)
    for field, value in each.items():
        titles, numbers = columns(field, value, names, model.constraints()[field])
        cells = [[f"{number:.4g}" for number in line] for line in numbers]
        _show_table(f"{field} of each column", params.weights, cells, titles)
    for name, value in shared.items():
        say(f"{name} of all components: {short(value)}")


def _show_gaussians(model: Mixture, params: MixtureParams, names: list[str]) -> None:
    from jaxem.plot.gaussians import covariance_matrices

    matrices = covariance_matrices(model, params)
    sds = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    cells = [
        [f"{_digits(m, s)} ± {_digits(s, s)}" for m, s in zip(*line, strict=True)]
        for line in zip(np.asarray(params.means), sds, strict=True)
    ]
    _show_table("mean ± sd of each column", params.weights, cells, names)
    rule = model.constraints()["covariances"]
    if not isinstance(rule, SymmetricPD) or not 1 < len(names) <= WIDEST:
        return
    table = new_table(["component", "covariance", *names], 2)
    for k, matrix in enumerate(matrices[:1] if rule.shared else matrices):
        table.add_section()
        for i, name in enumerate(names):
            first = ("all" if rule.shared else str(k + 1)) if i == 0 else ""
            table.add_row(first, name, *[f"{v:.4g}" for v in matrix[i]])
    print_table(table)


def _show_table(what: str, weights: ArrayLike, cells: list[list[str]], names: list[str]) -> None:
    """Components as rows; as columns where there are many features."""
    say(f"weight of each component, and {what}:")
    lines = [
        [f"{weight:.4f}", *line] for weight, line in zip(np.asarray(weights), cells, strict=True)
    ]
    if len(names) <= WIDEST:
        head = ["component", "weight", *names]
        rows = [[str(k + 1), *line] for k, line in enumerate(lines)]
    else:
        head = ["column", *[f"component {k + 1}" for k in range(len(cells))]]
        rows = [list(row) for row in zip(["weight", *names], *lines, strict=True)]
    table = new_table(head, 1)
    for row in rows:
        table.add_row(*row)
    print_table(table)


def new_table(head: Sequence[str], left: int = 0) -> Table:
    """A table whose columns stand to the right, but for the first `left` ones."""
    table = Table(*head)
    for column in table.columns[left:]:
        column.justify = "right"
    return table


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
