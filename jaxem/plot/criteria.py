"""Criteria over the number of components."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxem.plot.style import COLOURS, colour, label, marker, whole_ticks
from jaxem.results.information_criteria import criteria
from jaxem.results.sweep import Row, Sweep
from jaxem.results.text import TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Criteria of which the highest is the best.
RISING = ("held_out", "log_likelihood")

#: Criteria of a start that follow from its log-likelihood and the criteria of the best start.
BY_LIKELIHOOD = ("bic", "aic")


def bic(axis: "Axes", by_k: Mapping[int, float]) -> None:
    """BIC over the number of components, the lowest ringed.

    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.bic(axis, {1: 30.0, 2: 20.0, 3: 25.0})
    >>> axis.get_title()
    'BIC, lower is better: K = 2'
    """
    axis.plot(list(by_k), list(by_k.values()), "o-", color=COLOURS[0])
    best = min(by_k, key=lambda k: by_k[k])
    _ring(axis, best, by_k[best], "BIC", f"BIC, lower is better: K = {best}")


def _ring(axis: "Axes", k: int, value: float, name: str, title: str) -> None:
    """Mark the best model, and name the axes."""
    axis.plot(k, value, "o", ms=13, mfc="none", mec="black", mew=1.5)
    whole_ticks(axis.xaxis)
    axis.ticklabel_format(axis="y", useOffset=False)
    label(axis, "number of components K", name, title)


def sweep(axis: "Axes", swept: Sweep, criterion: str = "bic") -> None:
    """A criterion of a `jaxem.Sweep` over the number of components, one line for each covariance
    type, the best model ringed. Models without a sound fit are left out.

    >>> x = datasets.load("old_faithful")
    >>> table = jaxem.sweep(x, range(1, 3), key=jax.random.key(0), n_starts=8)
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.sweep(axis, table, "icl")
    """
    rows = [row for row in swept.table() if row[criterion] is not None]
    rows = [row for row in rows if not np.isnan(row[criterion])]
    if not rows:
        raise ValueError(f"no model of this sweep has {criterion!r}.")
    for k, kind in enumerate(dict.fromkeys(row["covariance_type"] for row in rows)):
        chosen = [row for row in rows if row["covariance_type"] == kind]
        x, y = [row["n_components"] for row in chosen], [row[criterion] for row in chosen]
        axis.plot(x, y, "-", color=colour(k), marker=marker(k), label=kind or "best start")
    pick = max if criterion in RISING else min
    best = pick(rows, key=lambda row: row[criterion])
    name = f"{TITLES[criterion]}{' log-likelihood per row' if criterion == 'held_out' else ''}"
    kind = best["covariance_type"]
    what = f"{kind + ', ' if kind else ''}K = {best['n_components']}"
    _ring(axis, best["n_components"], best[criterion], name, f"{name}: best is {what}")
    axis.legend(frameon=False, fontsize="small")


def criterion(
    axis: "Axes",
    swept: Sweep,
    name: str = "bic",
    x: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> None:
    """A criterion of a `jaxem.Sweep` over the number of components: the best start of each model
    as a line, its other sound starts as a bar: thick to the median, thin to the worst tenth.

    `name` is "bic", "aic", "log_likelihood", "icl", "icl_entropy" or "held_out". Bars of ICL, in
    either form, need the responsibilities of all starts, so they are drawn only where the data `x`
    (and `sample_weight`) of the sweep are given. ValueError for a criterion that no model has.

    >>> x = datasets.load("old_faithful")
    >>> table = jaxem.sweep(x, range(1, 3), key=jax.random.key(0), n_starts=8)
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.criterion(axis, table, "bic")
    """
    sweep(axis, swept, name)
    kinds = list(dict.fromkeys(row.covariance_type for row in swept.rows))
    drawn = False
    for row in swept.rows:
        values = start_values(row, name, x, sample_weight)
        if values.size < 2:
            continue
        best = values.max() if name == "log_likelihood" else values.min()
        ends = np.quantile(np.abs(values - best), [0.5, 0.9])
        ends = best + (-ends if name == "log_likelihood" else ends)
        k = kinds.index(row.covariance_type)
        # Bars stand next to the marker and to one another, so that none hides another.
        place = row.n_components + 0.09 * (k + 1)
        axis.vlines(place, best, ends[0], color=colour(k), lw=5, alpha=0.5)
        axis.vlines(place, best, ends[1], color=colour(k), lw=1.2, alpha=0.7)
        drawn = True
    if drawn:
        axis.plot([], [], color="0.5", lw=5, alpha=0.5, label="to the median start")
        axis.plot([], [], color="0.5", lw=1.2, label="to the worst tenth")
        axis.legend(frameon=False, fontsize="small")


def start_values(
    row: Row, name: str, x: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> np.ndarray:
    """The criterion of each sound start of a model f[s]; empty where it is unknown."""
    if row.criteria is None or name == "held_out":
        return np.zeros(0)
    likelihood = np.asarray(row.fits.log_likelihood, float)[row.fits.sound]
    if name == "log_likelihood":
        return likelihood
    if name in BY_LIKELIHOOD:
        return getattr(row.criteria, name) - 2 * (likelihood - row.criteria.log_likelihood)
    if x is None:  # ICL needs the responsibilities of all rows
        return np.zeros(0)
    fits = jax.tree.map(np.asarray, row.fits)
    sound = [fits[int(i)] for i in np.flatnonzero(fits.sound)]
    return np.array([getattr(criteria(row.model, fit, x, sample_weight), name) for fit in sound])
