"""Binomial components: the coins. Bernoulli is one trial.

log p(x|k) = Σ_j x_j log p_kj + (m − x_j) log(1 − p_kj) + log C(m, x_j), with
φ(x) = [1, x, m − x]: a probability of exactly 0 or 1 keeps its coefficients finite.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from jaxem.checks import whole
from jaxem.numerics import safe_divide, safe_log, stack_rows
from jaxem.priors import Beta
from jaxem.pytree import pytree


@pytree
class BinomialParams:
    """Probability of success of each feature in each component.

    >>> jaxem.BinomialParams(np.array([[0.1, 0.9], [0.8, 0.5]])).probabilities.shape
    (2, 2)
    """

    probabilities: jax.Array  #: f[k, d]


@pytree
class Binomial:
    """Independent counts of successes among `n_trials` (a number, the same for all features).

    >>> jaxem.Mixture(jaxem.Binomial(n_trials=10), n_components=2)
    Mixture(family=Binomial(n_trials=10), n_components=2)
    """

    n_trials: Any
    prior: Beta | None = None
    shared: ClassVar[tuple[str, ...]] = ()

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers from 0 to n_trials."""
        whole("n_trials", self.n_trials, 1)
        if self.prior is not None:
            self.prior.validate()
        trials = float(self.n_trials)
        bad = ((x < 0) | (x > trials) | (x != np.round(x))).any(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"x must hold whole numbers from 0 to {trials:g}; row {row}: {x[row]}."
            )

    def features(self, x):
        """φ f[1 + 2d, n]."""
        trials = jnp.asarray(self.n_trials, x.dtype)
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), x.T, trials - x.T])

    def log_base(self, x):
        """Σ_j log C(m, x_j) f[n]."""
        m = jnp.asarray(self.n_trials, x.dtype)
        return jnp.sum(gammaln(m + 1) - gammaln(x + 1) - gammaln(m - x + 1), axis=1)

    def embed(self, x):
        """Coordinates for initialisation: the counts."""
        return x

    def coefficients(self, params):
        """β = [0, log p, log(1 − p)] f[k, 1 + 2d]."""
        p = params.probabilities
        zero = jnp.zeros((p.shape[0], 1), p.dtype)
        return jnp.concatenate([zero, safe_log(p), safe_log(1 - p)], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return BinomialParams(jnp.full((k, d), 0.5, dtype))

    def maximize(self, stats, params, frozen=()):
        """Successes over tosses, or the posterior mode under the prior (a − 1, b − 1 extra)."""
        if "probabilities" in frozen:
            return params
        d = params.probabilities.shape[1]
        wins, losses = stats.moments[:, 1 : d + 1], stats.moments[:, d + 1 :]
        if self.prior is not None:
            wins = wins + (jnp.asarray(self.prior.a, wins.dtype) - 1)
            losses = losses + (jnp.asarray(self.prior.b, wins.dtype) - 1)
        return BinomialParams(safe_divide(wins, wins + losses, params.probabilities))

    def log_prior(self, params):
        """Beta log density, summed over components and features."""
        p = params.probabilities
        return jnp.zeros((), p.dtype) if self.prior is None else self.prior.log_density(p)

    def sample(self, key, params, labels):
        """Counts f[n, d] from the components named in labels i[n]."""
        p = params.probabilities[labels]
        return jax.random.binomial(key, jnp.asarray(self.n_trials, p.dtype), p, dtype=p.dtype)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "probabilities" in frozen else n_components * d

    def usable(self, params):
        """True where every probability lies in [0, 1]."""
        p = params.probabilities
        return jnp.all((p >= 0) & (p <= 1), axis=1)

    def healthy(self, params, stats):
        """As `usable`: nothing here is lost to rounding."""
        return self.usable(params)


def Bernoulli(prior: Beta | None = None) -> Binomial:
    """Independent 0/1 features: a binomial of one trial.

    >>> jaxem.Mixture(jaxem.Bernoulli(), n_components=2).n_parameters(d=5)
    11
    """
    return Binomial(1, prior)
