"""Two Gaussians on a line: weights, means and variances from a thousand numbers."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.demo.example import Example, Fit, Say, iterations
from jaxem.families import Gaussian, GaussianParams
from jaxem.models import Mixture, MixtureParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N = 1000


def model() -> Mixture:
    """Two components, each with its own variance."""
    return Mixture(Gaussian("full"), n_components=2)


def _params(weights: list[float], means: list[float], sds: list[float]) -> MixtureParams:
    variances = jnp.array(sds)[:, None, None] ** 2
    return MixtureParams(jnp.array(weights), GaussianParams(jnp.array(means)[:, None], variances))


def truth() -> MixtureParams:
    """Where the data come from: weights 0.3 and 0.7, means −2 and 0.5, sd 0.5 and 1."""
    return _params([0.3, 0.7], [-2.0, 0.5], [0.5, 1.0])


def start() -> MixtureParams:
    """Means 0 and 1, sd 1, equal weights."""
    return _params([0.5, 0.5], [0.0, 1.0], [1.0, 1.0])


def sample(n: int = N, seed: int = 1) -> np.ndarray:
    """n numbers f[n, 1] of the true mixture."""
    return np.asarray(model().sample(jax.random.key(seed), truth(), n)[0])


def flat(params: MixtureParams) -> np.ndarray:
    """Both weights, both means, both standard deviations, f[6]."""
    sds = np.sqrt(np.asarray(params.covariances)[:, 0, 0])
    return np.concatenate([params.weights, params.means[:, 0], sds])


def run(say: Say) -> tuple[np.ndarray, list[Fit]]:
    """EM until no parameter moves by 1e-6; returns the data and the fits."""
    x = sample()
    say(f"{N} numbers from 0.3 Normal(−2, 0.5²) + 0.7 Normal(0.5, 1²)")
    say("start: means 0 and 1, sd 1, weights 0.5; stop: parameters move less than 1e-6\n")
    say("iteration      weights            means           deviations    log-likelihood")
    fits = list(iterations(model(), start(), x, tol=1e-6))
    for i, fit in enumerate(fits):
        say(f"{i:9d}  {_row(fit.params)}  {float(fit.log_likelihood):14.6f}")
    say(f"    truth  {_row(truth())}  {float(model().e_step(truth(), x)[1]):14.6f}")
    return x, fits


def _row(params: MixtureParams) -> str:
    return "  ".join(f"{v:8.5f}" for v in flat(params))


def draw(result: tuple[np.ndarray, list[Fit]]) -> dict[str, "Figure"]:
    """The histogram with both components, and the log-likelihood over the iterations."""
    from jaxem import plot

    x, fits = result
    figure = plot.new_figure(10, 4.2)
    left, right = figure.subplots(1, 2)
    plot.histogram(left, model(), fits[-1].params, x, ["x"])
    plot.objective(right, [float(fit.log_likelihood) for fit in fits])
    return {"gaussians_1d.png": figure}


GAUSSIANS_1D = Example("gaussians-1d", "two Gaussians on a line, everything estimated", run, draw)
