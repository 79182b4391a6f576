"""Two columns of a mixture: data, components, and the density as contours or a surface."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.models import Mixture, MixtureParams
from jaxem.plot.gaussians import ellipse, is_continuous, is_gaussian, marginal_density, pair_of
from jaxem.plot.style import GREY, colour, label, marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d import Axes3D

#: Radius of the ellipses in standard deviations: 86 % of a Gaussian lies within.
RADIUS = 2.0

#: Shares of the probability within the contours.
SHARES = (0.95, 0.75, 0.5, 0.25)
POINTS = 141


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


def contours(
    axis: "Axes",
    model: Mixture,
    params: MixtureParams,
    x: np.ndarray,
    names: list[str],
    pair: tuple[int, int] = (0, 1),
) -> None:
    """Contours that hold 95, 75, 50 and 25 % of the fitted probability, over the data.

    Of Gaussian components, other columns than the pair are integrated out. Other components must be
    continuous, and of two columns (else ValueError).

    >>> x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> best = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best()
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.contours(axis, model, best.params, x, names)
    """
    u, v, density = _on_grid(model, params, x, pair)
    levels = _levels(density)
    axis.contourf(u, v, density, levels=[*levels, density.max() * 1.001], cmap="Blues", alpha=0.8)
    axis.contour(u, v, density, levels=levels, colors="#08306b", linewidths=0.9)
    axis.scatter(x[:, pair[0]], x[:, pair[1]], s=5, color="black", alpha=0.35, lw=0)
    shares = ", ".join(f"{share:.0%}"[:-1] for share in SHARES)
    label(axis, names[pair[0]], names[pair[1]], f"density; contours hold {shares} %")


def surface(
    axis: "Axes3D",
    model: Mixture,
    params: MixtureParams,
    x: np.ndarray,
    names: list[str],
    pair: tuple[int, int] = (0, 1),
) -> None:
    """The density as a surface, where `contours` can be drawn; `axis` is a 3-D one
    (`projection="3d"`).

    >>> x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> best = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best()
    >>> axis = plot.new_figure(5, 4).add_subplot(projection="3d")
    >>> plot.surface(axis, model, best.params, x, names)
    """
    from matplotlib.ticker import MaxNLocator

    u, v, density = _on_grid(model, params, x, pair)
    axis.plot_surface(u, v, density, cmap="cividis", rcount=90, ccount=90, lw=0, antialiased=True)
    axis.set(xlabel=names[pair[0]], ylabel=names[pair[1]])
    axis.set_zlabel("density", labelpad=24)
    axis.zaxis.set_major_locator(MaxNLocator(4))
    axis.tick_params(axis="z", pad=8)  # type: ignore[arg-type]
    axis.set_title("density", fontsize="medium")
    axis.tick_params(labelsize=8, colors=GREY)
    axis.view_init(elev=40, azim=-80)
    axis.set_box_aspect((1, 1, 0.75), zoom=0.85)  # type: ignore[arg-type]


def _on_grid(
    model: Mixture, params: MixtureParams, x: np.ndarray, pair: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates and density over a rectangle of the data and, of Gaussians, means ± three sd."""
    chosen = list(pair)
    low, high = x[:, chosen].min(axis=0), x[:, chosen].max(axis=0)
    if is_gaussian(model):
        means, matrices = (v[np.asarray(params.weights) > 0] for v in pair_of(model, params, pair))
        sd = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
        low = np.minimum(low, (means - 3 * sd).min(axis=0))
        high = np.maximum(high, (means + 3 * sd).max(axis=0))
    elif x.shape[1] != 2 or not is_continuous(model, x):
        raise ValueError(
            f"a density over two columns needs Gaussian components, or continuous ones of two "
            f"columns; got {model!r} and x of {x.shape[1]} columns."
        )
    # Of other families, the support may end where the data do.
    margin = 0.03 * (high - low) * is_gaussian(model)
    sides = zip(low - margin, high + margin, strict=True)
    u, v = np.meshgrid(*[np.linspace(a, b, POINTS) for a, b in sides])
    points = np.column_stack([u.ravel(), v.ravel()])
    if is_gaussian(model):
        density = marginal_density(model, params, points, pair)
    else:
        density = np.exp(np.asarray(model.log_prob(params, points[:, np.argsort(pair)]), float))
    return u, v, density.reshape(u.shape)


def _levels(density: np.ndarray) -> list[float]:
    """Densities, rising: the region above each holds a share (SHARES) of the probability."""
    heights = np.sort(density.ravel())[::-1]
    held = np.cumsum(heights) / heights.sum()
    levels = [float(heights[np.searchsorted(held, share)]) for share in SHARES]
    # Contours must rise strictly, even on a grid too coarse to tell two shares apart.
    return [level * (1 + 1e-9 * i) for i, level in enumerate(levels)]
