"""The picture of a fit, as `jaxem fit --plot` writes it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from jaxem.core.constraints import Simplex
from jaxem.models import Mixture, MixtureParams
from jaxem.plot.criteria import bic
from jaxem.plot.gaussians import is_continuous, is_gaussian
from jaxem.plot.histograms import histogram
from jaxem.plot.parameters import profile
from jaxem.plot.style import new_figure
from jaxem.plot.two_columns import classified, contours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Panels of continuous components in two columns.
PAIR = (classified, contours)


def fit_figure(
    model: Mixture,
    params: MixtureParams,
    x: np.ndarray,
    names: list[str],
    bic_by_k: Mapping[int, float],
    weight: np.ndarray | None = None,
) -> "Figure":
    """A matplotlib Figure: the fit in the first columns of x, and BIC over K if there are several.

    One column is a histogram, except of codes. Two columns of continuous components, or the first
    two of Gaussian ones, are the classified data and the density. Other families show a table of
    their first parameter.

    >>> x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> best = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best()
    >>> figure = plot.fit_figure(model, best.params, x, names, {1: 2607.6, 2: 2322.2})
    >>> len(figure.axes)
    3
    """
    panels = _panels(model, params, x, names, weight)
    several = len(bic_by_k) > 1
    count = len(panels) + several
    figure = new_figure(5.2 * count, 4.4)
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis, draw in zip(axes, panels, strict=False):
        draw(axis)
    if several:
        bic(axes[-1], bic_by_k)
    if x.shape[1] > 2 and is_gaussian(model):
        figure.suptitle(f"the first two of {x.shape[1]} columns", fontsize="medium")
    return figure


def _panels(
    model: Mixture,
    params: MixtureParams,
    x: np.ndarray,
    names: list[str],
    weight: np.ndarray | None,
) -> list[Callable[["Axes"], None]]:
    """A function of an axis for each panel."""
    continuous = is_continuous(model, x)
    codes = any(isinstance(rule, Simplex) for rule in model.family.constraints().values())
    if x.shape[1] == 1 and not codes:
        return [lambda axis: histogram(axis, model, params, x, names, weight, not continuous)]
    if is_gaussian(model) or (continuous and x.shape[1] == 2):
        return [partial(draw, model=model, params=params, x=x, names=names) for draw in PAIR]
    return [lambda axis: profile(axis, params, names, model)]
