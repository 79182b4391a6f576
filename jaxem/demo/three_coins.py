"""Three coins: the first decides which of the other two is tossed; only that toss is seen.

Li Hang, Statistical Learning Methods, chapter 9, example 9.1. π is the odds of coin B, p and q
the probabilities of heads of B and C. One toss a row cannot tell B from C, so the likelihood has
a ridge of maxima (π p + (1 − π) q = 0.6), and where EM lands depends on where it starts.
"""

from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxem.demo.example import Example, Fit, Say, iterations
from jaxem.families import Bernoulli, BinomialParams
from jaxem.models import Mixture, MixtureParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOSSES = np.array([[1.0], [1], [0], [1], [0], [0], [1], [0], [1], [1]])  # f[n=10, d=1]
STARTS = ((0.5, 0.5, 0.5), (0.4, 0.6, 0.7))


def model() -> Mixture:
    """Two Bernoulli components; weights and probabilities are estimated."""
    return Mixture(Bernoulli(), n_components=2)


def start(pi: float, p: float, q: float) -> MixtureParams:
    """Parameters of the mixture from the textbook's (π, p, q)."""
    return MixtureParams(jnp.array([pi, 1 - pi]), BinomialParams(jnp.array([[p], [q]])))


def triple(params: MixtureParams) -> np.ndarray:
    """(π, p, q) of the mixture's parameters."""
    return np.array([params.weights[0], *params.probabilities[:, 0]])


def run(say: Say) -> dict[tuple, list[Fit]]:
    """EM from both starts of the textbook; returns the fits of each."""
    say("Tosses: " + ", ".join(f"{t:.0f}" for t in TOSSES[:, 0]))
    told = {}
    for begin in STARTS:
        say(f"\nEM from (π, p, q) = {begin}")
        told[begin] = list(iterations(model(), start(*begin), TOSSES, tol=1e-6))
        for i, fit in enumerate(told[begin]):
            pi, p, q = triple(fit.params)
            likelihood = float(fit.log_likelihood)
            say(
                f"iteration {i:2d}   π {pi:.4f}   p {p:.4f}   q {q:.4f}"
                f"   log-likelihood {likelihood:.4f}"
            )
    return told


def draw(told: dict[tuple, list[Fit]]) -> dict[str, "Figure"]:
    """(π, p, q) over the iterations, one panel for each start."""
    from jaxem import plot

    figure = plot.new_figure(9, 3.8)
    for axis, (begin, fits) in zip(figure.subplots(1, 2), told.items(), strict=True):
        values = np.array([triple(fit.params) for fit in fits])
        paths = {name: list(path) for name, path in zip("πpq", values.T, strict=True)}
        plot.parameter_paths(axis, paths, "value")
        axis.set_title(f"from {begin}", fontsize="medium")
        axis.set_ylim(0.35, 0.75)
    return {"three_coins.png": figure}


THREE_COINS = Example("three-coins", "a hidden coin chooses one of two others", run, draw)
