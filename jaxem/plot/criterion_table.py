"""A criterion over the number of components, with the spread of the starts of each model."""

from typing import TYPE_CHECKING

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxem.plot.curves import sweep as sweep_lines
from jaxem.plot.style import colour
from jaxem.results.information_criteria import criteria
from jaxem.results.sweep import Row, Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Criteria of a start that follow from its log-likelihood and the criteria of the best start.
BY_LIKELIHOOD = ("bic", "aic")


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
    sweep_lines(axis, swept, name)
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
