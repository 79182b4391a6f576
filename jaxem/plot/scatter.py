"""Scatter plots of two columns: the raw data, and the data by component with ellipses."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.models import Mixture, MixtureParams
from jaxem.plot.gaussians import ellipse, is_gaussian, pair_of
from jaxem.plot.style import GREY, colour, label, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Radius of the ellipses in standard deviations: 86 % of a Gaussian lies within.
RADIUS = 2.0


def data(axis: "Axes", x: np.ndarray, names: list[str], pair: tuple[int, int] = (0, 1)) -> None:
    """The raw data of two columns.

    >>> x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.data(axis, x, names)
    """
    i, j = pair
    axis.scatter(x[:, i], x[:, j], s=12, color=GREY, alpha=0.6, linewidths=0)
    label(axis, names[i], names[j], "data")


def classified(
    axis: "Axes",
    model: Mixture,
    params: MixtureParams,
    x: np.ndarray,
    names: list[str],
    pair: tuple[int, int] = (0, 1),
) -> None:
    """Rows by their most probable component; Gaussian components as ellipses of two sd.

    >>> x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> best = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best()
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.classified(axis, model, best.params, x, names)
    >>> len(axis.patches)  # ellipses
    2
    """
    i, j = pair
    which = np.asarray(model.predict(params, x))
    for k in range(model.n_components):
        rows = x[which == k]
        axis.scatter(
            rows[:, i], rows[:, j], s=14, color=colour(k), marker=marker(k), alpha=0.55, lw=0
        )
    title = "most probable component"
    if is_gaussian(model):
        _ellipses(axis, model, params, pair)
        title += f"; ellipses of {RADIUS:g} sd"
    label(axis, names[i], names[j], title)


def _ellipses(axis: "Axes", model: Mixture, params: MixtureParams, pair: tuple[int, int]) -> None:
    means, matrices = pair_of(model, params, pair)
    for k in np.flatnonzero(np.asarray(params.weights) > 0).tolist():
        axis.add_patch(ellipse(means[k], matrices[k], RADIUS, colour(k)))
        axis.plot(*means[k], marker="+", color="black", ms=9, mew=1.6)
        reach = RADIUS * np.sqrt(np.diag(matrices[k]))
        axis.update_datalim([means[k] - reach, means[k] + reach])
    axis.autoscale_view()
