"""One column: a histogram with the fitted density and each component's share of it."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.models import Mixture, MixtureParams
from jaxem.plot.gaussians import takes
from jaxem.plot.style import colour, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STYLES = ("--", "-.", ":")


def histogram(
    axis: "Axes",
    model: Mixture,
    params: MixtureParams,
    x: np.ndarray,
    names: list[str],
    weight: np.ndarray | None = None,
    discrete: bool = False,
) -> None:
    """Histogram of x f[n, 1], the mixture density, and π_k p(x|k); a bar for each count where
    `discrete`.

    >>> counts = np.array([[0.0], [1.0], [1.0], [6.0]])
    >>> model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    >>> rates = jaxem.PoissonParams(np.array([[0.7], [6.0]]))
    >>> params = jaxem.MixtureParams(np.array([0.75, 0.25]), rates)
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.histogram(axis, model, params, counts, ["calls"], discrete=True)
    """
    values = np.asarray(x)[:, 0]
    low, high = values.min(), values.max()
    if discrete:
        bins = np.arange(low - 0.5, high + 1.0)
        grid = np.arange(low, high + 1.0)
    else:
        bins = "auto"
        margin = 0.08 * (high - low)
        floor = low - margin if takes(model, np.array([[-1.0]])) else 0.0
        grid = np.linspace(floor, high + margin, 401)
    # NumPy chooses bins from unweighted values only.
    edges = np.histogram_bin_edges(values, bins)
    style = {"color": "0.85", "edgecolor": "0.7", "lw": 0.5, "label": "data"}
    axis.hist(values, edges.tolist(), weights=weight, density=True, **style)
    joint = np.exp(np.asarray(model.log_joint(params, grid[:, None])))
    dot = "o" if discrete else None
    axis.plot(grid, joint.sum(axis=1), color="black", lw=1.2, marker=dot, ms=3, label="mixture")
    for k in range(joint.shape[1]):
        dashes = STYLES[k % len(STYLES)]
        name = f"component {k + 1}"
        axis.plot(grid, joint[:, k], dashes, color=colour(k), lw=2, marker=dot, ms=3, label=name)
    axis.legend(frameon=False, fontsize="small")
    label(axis, names[0], "probability" if discrete else "density", "data and fitted density")
