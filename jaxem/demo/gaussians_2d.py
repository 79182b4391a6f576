"""Four Gaussians in the plane with one known covariance: only means and weights are estimated."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import shared_fields
from jaxem.demo.example import Example, Fit, Say, iterations
from jaxem.families import Gaussian, GaussianParams
from jaxem.models import Mixture, MixtureParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N = 500
WEIGHTS = (0.1, 0.2, 0.3, 0.4)
MEANS = ((5.0, 35.0), (30.0, 40.0), (20.0, 20.0), (45.0, 15.0))
VARIANCE = 30.0


def model() -> Mixture:
    """Four components that share the covariance 30·I."""
    return Mixture(Gaussian("known", covariance=VARIANCE * jnp.eye(2)), n_components=4)


def truth() -> MixtureParams:
    """Where the data come from."""
    return MixtureParams(
        jnp.array(WEIGHTS), GaussianParams(jnp.array(MEANS), VARIANCE * jnp.eye(2))
    )


def sample(n: int = N, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """n points f[n, 2] and the component each came from i[n]."""
    x, label = model().sample(jax.random.key(seed), truth(), n)
    return np.asarray(x), np.asarray(label)


def run(say: Say) -> tuple[np.ndarray, list[Fit]]:
    """EM until means and weights move less than 1e-3; returns the data and the fits."""
    x, label = sample()
    counts = ", ".join(str(c) for c in np.bincount(label, minlength=4))
    say(f"{N} points around (5, 35), (30, 40), (20, 20), (45, 15), covariance 30·I known")
    say(f"weights 0.1, 0.2, 0.3, 0.4: this sample has {counts} points of each")
    say("start: k-means++; stop: means and weights move less than 1e-3\n")
    fits = list(iterations(model(), model().init(jax.random.key(104), x), x, tol=1e-3))
    for i, fit in enumerate(fits):
        say(f"iteration {i:2d}   log-likelihood {float(fit.log_likelihood):.4f}")
        say("  " + "   ".join(_cells(fit.params)))
    moved = np.asarray(fits[-1].params.means) - np.asarray(fits[-2].params.means)
    say(f"\nlast move of the means: {np.linalg.norm(moved):.1e}; estimate and truth:")
    pairs = zip(_cells(_like_truth(fits[-1].params)), _cells(truth()), strict=True)
    for estimate, true in pairs:
        say(f"  {estimate}   {true}")
    return x, fits


def _cells(params: MixtureParams) -> list[str]:
    weights, means = np.asarray(params.weights), np.asarray(params.means)
    return [f"{w:.3f} at ({a:6.2f}, {b:6.2f})" for w, (a, b) in zip(weights, means, strict=True)]


def _like_truth(params: MixtureParams) -> MixtureParams:
    """The components in the order of the true means nearest to them."""
    means = np.asarray(params.means)
    order = [int(np.argmin(np.sum((means - m) ** 2, axis=1))) for m in np.array(MEANS)]
    return params.take(order, shared_fields(model().family.constraints()))


def draw(result: tuple[np.ndarray, list[Fit]]) -> dict[str, "Figure"]:
    """Raw data, classified data, density as contours and as a surface; and the iterations."""
    from jaxem import plot

    x, fits = result
    params, names = fits[-1].params, ["x", "y"]
    page = plot.new_figure(11, 9.5)
    plot.data(page.add_subplot(2, 2, 1), x, names)
    plot.classified(page.add_subplot(2, 2, 2), model(), params, x, names)
    plot.contours(page.add_subplot(2, 2, 3), model(), params, x, names)
    plot.surface(page.add_subplot(2, 2, 4, projection="3d"), model(), params, x, names)
    curve = plot.new_figure(5.2, 4)
    plot.objective(curve.subplots(), [float(fit.log_likelihood) for fit in fits])
    return {"gaussians_2d.png": page, "gaussians_2d_objective.png": curve}


GAUSSIANS_2D = Example("gaussians-2d", "four Gaussians in the plane, covariance known", run, draw)
