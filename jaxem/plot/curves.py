"""What happens over iterations and over the number of components."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxem.plot.page import COLOURS, colour, label, marker


def objective(axis: Any, values: Any, name: str = "log-likelihood") -> None:
    """The objective after each iteration, from the start; NaN (after the end) is left out."""
    values = np.asarray(values)
    values = values[np.isfinite(values)]
    dots = "o-" if len(values) <= 40 else "-"
    axis.plot(np.arange(len(values)), values, dots, color=COLOURS[0], ms=4)
    _whole_ticks(axis)
    axis.ticklabel_format(axis="y", useOffset=False)
    label(axis, "iteration", name, f"{name} per iteration")


def parameter_paths(axis: Any, paths: Mapping[str, Sequence[float]], ylabel: str) -> None:
    """How named parameters move from iteration to iteration."""
    for k, (name, values) in enumerate(paths.items()):
        # Large below small, so that equal paths all show.
        size = max(4, 9 - 2 * k)
        axis.plot(values, "-", color=colour(k), marker=marker(k), ms=size, label=name)
    _whole_ticks(axis)
    axis.legend(frameon=False, fontsize="small")
    label(axis, "iteration", ylabel, f"{ylabel} per iteration")


def bic(axis: Any, by_k: Mapping[int, float]) -> None:
    """BIC over the number of components, the lowest ringed."""
    ks, values = list(by_k), list(by_k.values())
    axis.plot(ks, values, "o-", color=COLOURS[0])
    best = int(np.argmin(values))
    axis.plot(ks[best], values[best], "o", ms=13, mfc="none", mec=COLOURS[1], mew=2)
    _whole_ticks(axis)
    axis.ticklabel_format(axis="y", useOffset=False)
    label(axis, "number of components K", "BIC", f"BIC, lower is better: K = {ks[best]}")


def sweep(axis: Any, swept: Any, criterion: str = "bic") -> None:
    """A criterion of a `jaxem.Sweep` over the number of components, one line for each covariance
    type, the best model ringed. Models without a sound fit are left out."""
    rows = [row for row in swept.table() if row[criterion] is not None]
    if not rows:
        raise ValueError(f"no model of this sweep has {criterion!r}.")
    for k, kind in enumerate(dict.fromkeys(row["covariance_type"] for row in rows)):
        own = [row for row in rows if row["covariance_type"] == kind]
        x, y = [row["n_components"] for row in own], [row[criterion] for row in own]
        axis.plot(x, y, "-", color=colour(k), marker=marker(k), label=kind)
    pick = max if criterion in ("held_out", "log_likelihood") else min
    best = pick(rows, key=lambda row: row[criterion])
    place = best["n_components"], best[criterion]
    axis.plot(*place, "o", ms=13, mfc="none", mec="black", mew=1.5)
    _whole_ticks(axis)
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.legend(frameon=False, fontsize="small")
    name = {"held_out": "held-out log-likelihood per row"}.get(criterion, criterion.upper())
    what = f"{best['covariance_type']}, K = {best['n_components']}"
    label(axis, "number of components K", name, f"{name}: best is {what}")


def _whole_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
