"""Select one mixture from a saved file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import typer

from jaxem import io
from jaxem.cli import report
from jaxem.core.compiled import jitted
from jaxem.core.precision import precision_of
from jaxem.io.consistency import columns_of
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit


@dataclass(frozen=True)
class Chosen:
    """One mixture of a file."""

    model: Mixture
    params: MixtureParams
    fit: Fit | None  #: the fit of these parameters, None for bare parameters
    names: list[str] | None  #: of the columns, where the file has names

    @property
    def d(self) -> int:
        """The number of columns."""
        return columns_of(self.model, self.params)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, x0, x1 and so on where the file has none."""
        return self.names or [f"x{j}" for j in range(self.d)]


def choose(path: Path, data_set: int | None) -> Chosen:
    """One mixture of a file: the best of many starts, or the data set of that number. A single axis
    of fits counts as starts, unless `data_set` is given.

    ValueError for a file that cannot be loaded, without a model, without a sound fit, or with many
    data sets where `data_set` is None.
    """
    file = io.read(path)
    chosen = content_of(path, file)
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


def content_of(path: object, file: io.File) -> Chosen:
    """All fits of a file; of a sweep, all fits of its best model."""
    names = file.metadata.get("columns")
    if file.kind == "sweep":
        best = file.value.best
        return Chosen(best.model, best.fits.params, best.fits, names)
    if file.kind == "model":
        raise ValueError(f"{path} holds a model without parameters: save (model, fit).")
    if file.model is None:
        raise ValueError(f"{path} was saved without its model: save (model, {file.kind}).")
    if file.kind == "params":
        return Chosen(file.model, file.value, None, names)
    return Chosen(file.model, file.value.params, file.value, names)


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
    """A context that computes in the dtype of the saved parameters, whatever JAX's mode."""
    dtype = np.asarray(chosen.params.weights).dtype
    with precision_of(dtype):
        yield dtype


def check_density(path: Path, chosen: Chosen) -> None:
    """ValueError for parameters that define no density, such as those of a failed fit."""
    with precision(chosen):
        usable = bool(_usable(chosen.model, chosen.params))
    if not usable:
        ended = "" if chosen.fit is None else f" (the fit: {report.ending(chosen.fit)})"
        raise ValueError(f"{path}: its parameters do not define a density{ended}; fit again.")


@jitted
def _usable(model, params):
    return model.usable(params)
