"""Components of many discrete columns as a table of colours: rates or probabilities."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.models import MixtureParams
from jaxem.plot.style import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def profile(axis: "Axes", params: MixtureParams, names: list[str]) -> None:
    """One row per component, one column per feature (and category) of its parameter.

    >>> p = jaxem.BinomialParams(np.array([[0.1, 0.9], [0.8, 0.5]]))
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.profile(axis, jaxem.MixtureParams(np.array([0.4, 0.6]), p), ["spam", "ham"])
    """
    field = next(name for name in ("rates", "probabilities") if hasattr(params, name))
    values = np.asarray(getattr(params, field))
    k = len(values)
    if values.ndim == 3:
        names = [f"{name}={c}" for name in names for c in range(values.shape[2])]
    table = values.reshape(k, -1)
    image = axis.pcolormesh(table, cmap="cividis", edgecolors="white", lw=1)
    axis.figure.colorbar(image, ax=axis, label=field)
    axis.set_xticks(np.arange(table.shape[1]) + 0.5, names, rotation=45, ha="right")
    rows = [f"{j + 1} ({w:.0%})" for j, w in enumerate(np.asarray(params.weights))]
    axis.set_yticks(np.arange(k) + 0.5, rows)
    axis.invert_yaxis()
    label(axis, "column", "component (weight)", f"{field} of each component")
