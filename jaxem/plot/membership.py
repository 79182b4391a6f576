"""Probabilities of components for each row."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.models import Mixture, MixtureParams
from jaxem.plot.style import colour, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Least probability of a component that counts as a sure assignment.
SURE = 0.9


def responsibilities(axis: "Axes", model: Mixture, params: MixtureParams, x: np.ndarray) -> None:
    """Each row as a thin bar, its probabilities of the components stacked in their colours.

    Rows are sorted by their most probable component, then by its probability: steps are clear
    assignments, slopes are rows between two components.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> best = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best()
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.responsibilities(axis, model, best.params, x)
    >>> axis.get_title()
    '0% of rows have no component of 90% or more'
    """
    r = np.asarray(model.predict_proba(params, x), float)
    r = r / r.sum(axis=1, keepdims=True)
    top, which = r.max(axis=1), r.argmax(axis=1)
    order = np.lexsort((-top, which))
    edges = np.arange(len(r) + 1)
    heights = np.cumsum(r[order], axis=1)
    floor = np.zeros(len(r))
    for k in range(r.shape[1]):
        # The last value twice: a step needs both of its ends.
        below, above = np.r_[floor, floor[-1]], np.r_[heights[:, k], heights[-1, k]]
        name = f"{k + 1}: {np.mean(which == k):.0%} of rows"
        axis.fill_between(
            edges, below, above, label=name, step="post", color=colour(k), lw=0, alpha=0.85
        )
        floor = heights[:, k]
    axis.set(xlim=(0, len(r)), ylim=(0, 1))
    title = f"{np.mean(top < SURE):.0%} of rows have no component of {SURE:.0%} or more"
    label(axis, "rows, sorted by component and certainty", "probability of each component", title)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": min(r.shape[1], 3)}
    axis.legend(frameon=False, fontsize="small", **below)
