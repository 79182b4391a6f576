"""The picture of a whole fit, as `jaxem fit --plot` writes it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxem.families import Exponential
from jaxem.plot.classified import classified
from jaxem.plot.curves import bic
from jaxem.plot.density import contours
from jaxem.plot.gaussians import is_gaussian
from jaxem.plot.histogram import histogram
from jaxem.plot.page import new_figure
from jaxem.plot.profile import profile


def fit_figure(
    model: Any, params: Any, x: np.ndarray, names: list[str], bic_by_k: Mapping[int, float]
) -> Any:
    """A matplotlib Figure: the fit in the first columns of x, and BIC over K if there are several.

    One column is a histogram; two or more of a Gaussian mixture are the classified data and the
    density of the first two; other families show a table of their parameters.
    """
    panels = [_FITS[kind] for kind in _kinds(params, x)]
    several = len(bic_by_k) > 1
    count = len(panels) + several
    figure = new_figure(5.2 * count, 4.4)
    axes = figure.subplots(1, count, squeeze=False)[0]
    for axis, draw in zip(axes, panels, strict=False):
        draw(axis, model, params, x, names)
    if several:
        bic(axes[-1], bic_by_k)
    if x.shape[1] > 2 and is_gaussian(params):
        figure.suptitle(f"the first two of {x.shape[1]} columns", fontsize="medium")
    return figure


def _kinds(params: Any, x: np.ndarray) -> list[str]:
    if x.shape[1] == 1 and not (hasattr(params, "probabilities") and params.probabilities.ndim > 2):
        return ["histogram"]
    return ["classified", "contours"] if is_gaussian(params) else ["profile"]


def _histogram(axis, model, params, x, names):
    continuous = is_gaussian(params) or isinstance(model.family, Exponential)
    histogram(axis, model, params, x, names, discrete=not continuous)


_FITS = {
    "histogram": _histogram,
    "classified": classified,
    "contours": contours,
    "profile": lambda axis, model, params, x, names: profile(axis, params, names),
}
