"""Curves over iterations and over the number of components."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxem.plot.style import COLOURS, colour, label, marker
from jaxem.results.sweep import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


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


def bic(axis: "Axes", by_k: Mapping[int, float]) -> None:
    """BIC over the number of components, the lowest ringed.

    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.bic(axis, {1: 30.0, 2: 20.0, 3: 25.0})
    >>> axis.get_title()
    'BIC, lower is better: K = 2'
    """
    ks, values = list(by_k), list(by_k.values())
    axis.plot(ks, values, "o-", color=COLOURS[0])
    best = int(np.argmin(values))
    axis.plot(ks[best], values[best], "o", ms=13, mfc="none", mec=COLOURS[1], mew=2)
    whole_ticks(axis.xaxis)
    axis.ticklabel_format(axis="y", useOffset=False)
    label(axis, "number of components K", "BIC", f"BIC, lower is better: K = {ks[best]}")


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
        axis.plot(x, y, "-", color=colour(k), marker=marker(k), label=kind)
    pick = max if criterion in ("held_out", "log_likelihood") else min
    best = pick(rows, key=lambda row: row[criterion])
    place = best["n_components"], best[criterion]
    axis.plot(*place, "o", ms=13, mfc="none", mec="black", mew=1.5)
    whole_ticks(axis.xaxis)
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.legend(frameon=False, fontsize="small")
    names = {
        "held_out": "held-out log-likelihood per row",
        "log_likelihood": "log-likelihood",
        "icl_entropy": "ICL (entropy)",
    }
    name = names.get(criterion, criterion.upper())
    what = f"{best['covariance_type']}, K = {best['n_components']}"
    label(axis, "number of components K", name, f"{name}: best is {what}")


def whole_ticks(side: "Axis") -> None:
    """Ticks at whole numbers only; `side` is `axis.xaxis` or `axis.yaxis`."""
    from matplotlib.ticker import MaxNLocator

    side.set_major_locator(MaxNLocator(integer=True))
