"""`Sweep`: the fits of many models and their scores, a row for each model."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any

import numpy as np

from jaxem.results import text
from jaxem.results.fit import Fit
from jaxem.results.information_criteria import Criteria
from jaxem.results.report import Report


@dataclass(frozen=True)
class Row:
    """One model of a sweep: its fits from all starts, and the score of the best."""

    n_components: int
    covariance_type: str  #: or the label of the model, where models were given by their labels
    model: Any
    fits: Fit  #: all starts, axis [starts]
    criteria: Criteria | None  #: of the best start; None where no start was sound
    held_out: float | None = None  #: mean held-out log-likelihood per unit weight, higher is better

    @property
    def best_count(self) -> int:
        """The number of starts that reached the best optimum."""
        return self.fits.optima().best_count


@dataclass(frozen=True)
class Sweep:
    """All models of a sweep; `best` is by `criterion`.

    >>> x = datasets.load("old_faithful")
    >>> table = jaxem.sweep(x, range(1, 3), key=jax.random.key(0), n_starts=8)
    >>> table[2, "full"].fits
    Fit(8 fits, best log-likelihood -1130.26, ...)
    >>> axis = table.plot.criterion("bic")
    """

    rows: tuple[Row, ...]
    criterion: str
    report: Report

    def __getitem__(self, key: tuple[int, str] | str) -> Row:
        """The row of (n_components, covariance_type), or of a label that only one row has."""
        found = [row for row in self.rows if row.covariance_type == key]
        found += [row for row in self.rows if (row.n_components, row.covariance_type) == key]
        if len(found) == 1:
            return found[0]
        known = [(row.n_components, row.covariance_type) for row in self.rows]
        raise KeyError(f"no model {key} in this sweep; choose from {known}")

    @property
    def sound(self) -> bool:
        """Whether any model has a sound fit, and so the sweep a best one."""
        return any(row.criteria is not None for row in self.rows)

    @property
    def best(self) -> Row:
        """The row of the lowest criterion, or of the highest held-out likelihood. ValueError where
        no model has a sound fit."""
        scored = [row for row in self.rows if row.criteria is not None]
        if not scored:
            ends = "" if not self.rows else f" Of the last: {self.rows[-1].fits.summary()}"
            raise ValueError(f"No model of this sweep has a sound fit.{ends}")
        return min(scored, key=self._score)

    def _score(self, row: Row) -> float:
        if self.criterion == "held_out":
            return -np.inf if row.held_out is None else -row.held_out
        value = getattr(row.criteria, self.criterion)
        return np.inf if value is None or np.isnan(value) else value

    def table(self) -> list[dict[str, Any]]:
        """One dict for each model: sizes, criteria, starts at the best optimum, statuses. All other
        tables of a sweep are made from it; `pandas.DataFrame(sweep.table())` is one more."""
        return [_line(row) for row in self.rows]

    @property
    def plot(self):
        """Pictures of this sweep, one call each: see `jaxem.plot.SweepPlots`."""
        return import_module("jaxem.plot").SweepPlots(self)

    def __repr__(self) -> str:
        return text.sweep_text(self)

    def _repr_html_(self) -> str:
        return text.sweep_html(self)


def total(reports: Sequence[Report | None]) -> Report:
    """Reports of several calls as one."""
    known = [report for report in reports if report is not None]
    names = "executed", "needed", "saved", "programs", "compile_seconds", "run_seconds"
    sums = {name: sum(getattr(report, name) for report in known) for name in names}
    return replace(Report(interrupted=any(report.interrupted for report in known)), **sums)


def _line(row: Row) -> dict[str, Any]:
    optima = row.fits.optima()
    names = [field.name for field in fields(Criteria)]
    return {
        "n_components": row.n_components,
        "covariance_type": row.covariance_type,
        **{name: getattr(row.criteria, name, None) for name in names},
        "held_out": row.held_out,
        "best_count": optima.best_count,
        "distinct_optima": len(optima.values),
        "missed": optima.missed,
        "n_starts": int(np.size(row.fits.status)),
        "statuses": row.fits.summary(),
    }
