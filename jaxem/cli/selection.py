"""The one mixture that a command needs of a file, which may hold many."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import typer

from jaxem import io
from jaxem.cli import report
from jaxem.core.compiled import jitted
from jaxem.core.precision import precision_of
from jaxem.io.consistency import columns_of


@dataclass(frozen=True)
class Chosen:
    """One mixture of a file."""

    model: Any
    params: Any
    fit: Any  #: the fit it came from, None for bare parameters
    names: list[str] | None  #: of the columns, where the file has them

    @property
    def d(self) -> int:
        """The number of columns."""
        return columns_of(self.model, self.params)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, x0, x1 and so on where the file has none."""
        return self.names or [f"x{j}" for j in range(self.d)]


def choose(path: Path, data_set: int | None) -> Chosen:
    """The mixture that a file is about: of many starts the best, of many data sets the one that
    was named. A single axis of fits counts as starts, unless a data set is named.

    ValueError for a file that cannot be loaded, without a model, without a sound fit, or with many
    data sets of which none was named.
    """
    file = io.read(path)
    chosen = whole_of(path, file)
    if data_set is None:
        lanes = np.ndim(chosen.params.weights) - 1
        if lanes == 1 and chosen.fit is not None:
            fit = chosen.fit.best()
            if file.kind == "fit":
                _note_choice(path, len(chosen.fit.status))
            return Chosen(chosen.model, fit.params, fit, chosen.names)
        if lanes == 0:
            return chosen
    return _of_data_set(path, chosen, data_set)


def _note_choice(path: Path, count: int) -> None:
    """A fit does not know whether its axis is of starts or of data sets: say how it was taken."""
    typer.echo(
        f"note: the best of the {count} fits in {path}, taken as starts of one data set; where "
        "they are of different data sets, choose with --data-set.",
        err=True,
    )


def whole_of(path: object, file: io.File) -> Chosen:
    """Everything the file holds, except that of a sweep only the best model's fits count."""
    names = file.facts.get("columns")
    if file.kind == "sweep":
        best = file.thing.best
        return Chosen(best.model, best.fits.params, best.fits, names)
    if file.kind == "model":
        raise ValueError(f"{path} holds a model without parameters: save (model, fit).")
    if file.model is None:
        raise ValueError(f"{path} was saved without its model: save (model, {file.kind}).")
    if file.kind == "params":
        return Chosen(file.model, file.thing, None, names)
    return Chosen(file.model, file.thing.params, file.thing, names)


def _of_data_set(path: Path, chosen: Chosen, data_set: int | None) -> Chosen:
    fit, params = chosen.fit, chosen.params
    if fit is not None and np.ndim(fit.status) == 2:
        fit = fit.best()
        params = fit.params
    if np.ndim(params.weights) != 2:
        lanes = list(np.shape(params.weights)[:-1])
        raise ValueError(f"{path}: its mixtures, of axes {lanes}, are not of data sets; leave "
                         "--data-set out, or save the one you mean.")  # fmt: skip
    count = len(params.weights)
    if data_set is None or not 0 <= data_set < count:
        raise ValueError(
            f"{path} holds mixtures of {count} data sets: choose one with --data-set, 0 to "
            f"{count - 1}."
        )
    params, fit = jax.tree.map(lambda leaf: leaf[data_set], (params, fit))
    return Chosen(chosen.model, params, fit, chosen.names)


@contextmanager
def precision(chosen: Chosen) -> Iterator[np.dtype]:
    """The precision that the parameters were saved in, whatever JAX's mode."""
    dtype = np.asarray(chosen.params.weights).dtype
    with precision_of(dtype):
        yield dtype


def check_density(path: Path, chosen: Chosen) -> None:
    """ValueError for parameters that are no density, as those of a fit that failed may be."""
    with precision(chosen):
        usable = bool(_usable(chosen.model, chosen.params))
    if not usable:
        ended = "" if chosen.fit is None else f" (the fit: {report.ending(chosen.fit)})"
        raise ValueError(f"{path}: its parameters do not define a density{ended}; fit again.")


@jitted
def _usable(model, params):
    return model.usable(params)
