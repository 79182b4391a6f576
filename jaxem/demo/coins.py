"""Two coins, five rounds of ten tosses, and nobody wrote down which coin was tossed.

Do and Batzoglou (2008), "What is the expectation maximization algorithm?", Nature Biotechnology
26, 897-899: the coin of each round is drawn with equal odds, only the biases are estimated.
"""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxem.demo.example import Example, Fit, Say, column, iterations
from jaxem.families import Binomial, BinomialParams
from jaxem.models import Mixture, MixtureParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOSSES = 10
HEADS = np.array([[5.0], [9.0], [8.0], [4.0], [7.0]])  # f[n=5, d=1]
COIN = np.array([1, 0, 0, 1, 0])  # rounds 2, 3 and 5 are A


def model() -> Mixture:
    """Two binomial components whose equal weights are not estimated."""
    return Mixture(Binomial(TOSSES), n_components=2, frozen=("weights",))


def start(a: float = 0.6, b: float = 0.5) -> MixtureParams:
    """Coin A and coin B as first guessed."""
    return MixtureParams(jnp.array([0.5, 0.5]), BinomialParams(jnp.array([[a], [b]])))


def expected(responsibilities: ArrayLike) -> np.ndarray:
    """Expected heads and tails f[2 coins, 2] under responsibilities f[n, 2]."""
    r = np.asarray(responsibilities)
    return np.column_stack([r.T @ HEADS, r.T @ (TOSSES - HEADS)])


def run(say: Say) -> list[Fit]:
    """Known coins, then hard EM, then soft EM; returns the fits of soft EM."""
    say("Heads in five rounds of ten tosses: " + ", ".join(f"{h:.0f}" for h in HEADS[:, 0]))
    say("\nKnown coins (rounds 2, 3 and 5 are A): heads over tosses")
    known = jax.nn.one_hot(jnp.asarray(COIN), 2)
    _fractions(say, known, model().seed(HEADS, known))
    say("\nHard EM from A 0.60, B 0.50: each round belongs to the likelier coin")
    last = start()
    for i, fit in enumerate(iterations(model(), start(), HEADS, tol=1e-9, assignment="hard")):
        if i:
            say(f"iteration {i}")
            _fractions(say, _winners(last), fit.params)
        last = fit.params
    return _soft(say)


def _soft(say: Say) -> list[Fit]:
    say("\nSoft EM from A 0.60, B 0.50: each round belongs to both, by its likelihood")
    r = np.asarray(model().predict_proba(start(), HEADS))
    say("round  heads     A     B   heads/tails of A   heads/tails of B")
    for i, (heads, (a, b)) in enumerate(zip(HEADS[:, 0], r, strict=True), 1):
        tails = TOSSES - heads
        shares = [f"{p * heads:.1f}/{p * tails:.1f}" for p in (a, b)]
        say(f"{i:5d} {heads:6.0f}  {a:.2f}  {b:.2f} {shares[0]:>18} {shares[1]:>18}")
    totals = [f"{heads:.1f}/{tails:.1f}" for heads, tails in expected(r)]
    say(f"total                    {totals[0]:>18} {totals[1]:>18}")
    fits = []
    for i, fit in enumerate(iterations(model(), start(), HEADS, tol=1e-4)):
        fits.append(fit)
        a, b = np.asarray(fit.params.probabilities)[:, 0]
        likelihood = float(fit.log_likelihood)
        say(f"iteration {i:2d}   A {a:.2f}   B {b:.2f}   log-likelihood {likelihood:.4f}")
    return fits


def _fractions(say: Say, responsibilities: ArrayLike, params: MixtureParams) -> None:
    p = np.asarray(params.probabilities)[:, 0]
    for name, (heads, tails), value in zip("AB", expected(responsibilities), p, strict=True):
        say(f"  {name}: {heads:.0f}/{heads + tails:.0f} = {value:.2f}")


def _winners(params: MixtureParams) -> jax.Array:
    return jax.nn.one_hot(model().predict(params, HEADS), 2)


def draw(fits: list[Fit]) -> dict[str, "Figure"]:
    """The biases and the log-likelihood over the iterations."""
    from jaxem import plot

    figure = plot.new_figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    paths = {
        name: column(fits, lambda p, k=k: p.probabilities[k, 0]) for k, name in enumerate("AB")
    }
    plot.parameter_paths(left, paths, "probability of heads")
    plot.objective(right, [float(fit.log_likelihood) for fit in fits])
    return {"coins.png": figure}


COINS = Example("coins", "two coins, ten tosses a round: known, hard and soft", run, draw)
