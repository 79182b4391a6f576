"""Curves over iterations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxem.plot.style import COLOURS, colour, label, marker, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def objective(axis: "Axes", values: ArrayLike, name: str = "log-likelihood") -> None:
    """The objective after each iteration, from the start; NaN (after the end) is left out.

    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.objective(axis, [-30.0, -21.0, -20.0])
    """
    values = np.asarray(values)
    values = values[np.isfinite(values)]
    dots = "o-" if len(values) <= 40 else "-"
    axis.plot(np.arange(len(values)), values, dots, color=COLOURS[0], ms=4)
    whole_ticks(axis.xaxis)
    axis.ticklabel_format(axis="y", useOffset=False)
    label(axis, "iteration", name, f"{name} per iteration")


def parameter_paths(axis: "Axes", paths: Mapping[str, Sequence[float]], ylabel: str) -> None:
    """Named parameters over the iterations.

    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.parameter_paths(axis, {"coin 1": [0.6, 0.7], "coin 2": [0.5, 0.4]}, "probability")
    """
    for k, (name, values) in enumerate(paths.items()):
        # Larger markers first, so that equal paths all show.
        size = max(4, 9 - 2 * k)
        axis.plot(values, "-", color=colour(k), marker=marker(k), ms=size, label=name)
    whole_ticks(axis.xaxis)
    axis.legend(frameon=False, fontsize="small")
    label(axis, "iteration", ylabel, f"{ylabel} per iteration")
