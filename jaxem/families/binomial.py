"""Binomial components, such as coins. Bernoulli is the case of one trial.

log p(x|k) = Σ_j x_j log p_kj + (m − x_j) log(1 − p_kj) + log C(m, x_j), with
φ(x) = [1, x, m − x]: a probability of exactly 0 or 1 keeps its coefficients finite.

With a base point b, z = x − b and q = p − b/m: then φ(z) = [1, z, −z], and with t = m q / b and
s = −m q / (m − b) log p(x|k) = Σ_j z_j [log(1 + t) − log(1 + s)] + b [log(1 + t) − t] +
(m − b) [log(1 + s) − s] + log p(x_j|b_j/m).
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import Constraint, Interval
from jaxem.core.trees import pytree
from jaxem.core.types import Number
from jaxem.core.validation import integer
from jaxem.families import counts, independent
from jaxem.families.priors import Beta
from jaxem.numerics import safe_divide, safe_log, safe_log1p, stack_rows


@pytree
class BinomialParams:
    """Probability of success of each feature in each component.

    >>> jaxem.BinomialParams(np.array([[0.1, 0.9], [0.8, 0.5]])).probabilities.shape
    (2, 2)
    """

    probabilities: jax.Array  #: f[k, d]


@pytree
class Binomial(counts.Counts[Beta]):
    """Independent counts of successes among `n_trials` (a number, the same for all features).
    `base` is the base point that a fit sets, as in `Poisson`.

    >>> jaxem.Mixture(jaxem.Binomial(n_trials=10), n_components=2)
    Mixture(family=Binomial(n_trials=10), n_components=2)
    """

    n_trials: Number
    prior: Beta | None = None
    base: Number = 0.0  # f[d] or 0
    largest: ClassVar[float] = 1.0

    log_base = counts.binomial_log_base
    log_density = counts.binomial_log_density

    @property
    def exposure(self) -> Number:
        """The number of trials."""
        return self.n_trials

    def constraints(self) -> dict[str, Constraint]:
        """Probabilities may be exactly 0 or 1."""
        return {"probabilities": Interval(0.0, self.largest)}

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers from 0 to n_trials."""
        integer("n_trials", self.n_trials, 1)
        super().validate(x)
        bad = (x < 0) | (x > self.n_trials) | (x != np.round(x))
        independent.refuse(x, bad, f"hold whole numbers from 0 to {float(self.n_trials):g}")

    def base_of(self, mean):
        """The base point, where failures too are many."""
        return super().base_of(mean) * (super().base_of(self.n_trials - mean) > 0)

    def far_below(self, x, base):
        """b[..., d]: successes or failures so far below the base point that digits are lost."""
        trials = self.n_trials
        return super().far_below(x, base) | super().far_below(trials - x, trials - base)

    def _trials_and_base(self, like):
        """n_trials f[] and the base point f[1, d], in the dtype of `like`, and b[1, d]: not 0."""
        base = self.base_row(like)
        return jnp.asarray(self.n_trials, like.dtype), base, base > 0

    def features(self, x):
        """φ f[1 + 2d, n]."""
        m, _, there = self._trials_and_base(x)
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), x.T, jnp.where(there, 0, m).T - x.T])

    def condition(self, params):
        """Error of β · φ f[k], in units of the roundoff; see `jaxem.families.counts`."""
        m, p = jnp.asarray(self.n_trials, params.probabilities.dtype), params.probabilities
        return self.error(-m * jnp.minimum(p * safe_log(p), (1 - p) * safe_log1p(-p)))

    def coefficients(self, params):
        """β = [0, log p, log(1 − p)] f[k, 1 + 2d]; with a base point as above."""
        p = params.probabilities
        m, base, there = self._trials_and_base(p)
        won, wins = counts.expansion(base, m * p)
        lost, losses = counts.expansion(jnp.where(there, m - base, 0), -m * p)
        wins = jnp.where(there, wins, safe_log(jnp.where(there, 1, p)))
        losses = jnp.where(there, losses, safe_log1p(-p))
        constant = jnp.sum(won + lost, axis=1, keepdims=True)
        return jnp.concatenate([constant, wins, losses], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        half = jnp.full((k, d), 0.5, dtype)
        return BinomialParams(jnp.where(self.base_row(half) > 0, 0, half))

    def maximize(self, stats, params, frozen=()):
        """Successes over trials; a prior adds a − 1 successes and b − 1 failures (posterior
        mode)."""
        if "probabilities" in frozen:
            return params
        d = params.probabilities.shape[1]
        m, base, there = self._trials_and_base(params.probabilities)
        wins, losses = stats.moments[:, 1 : d + 1], stats.moments[:, d + 1 :]
        total = jnp.where(there, m * stats.moments[:, :1], wins + losses)
        if self.prior is not None:
            a, b = (value - 1 for value in self.prior.like(wins))
            wins, total = wins + a - (a + b) * (base / m), total + a + b
        return BinomialParams(safe_divide(wins, total, params.probabilities))

    def sample(self, key, params, labels):
        """Counts f[n, d] from the components named in labels i[n]."""
        p = self.with_base(params).probabilities[labels]
        m, base, _ = self._trials_and_base(p)
        return jax.random.binomial(key, m, p, dtype=p.dtype) - base


def Bernoulli(prior: Beta | None = None) -> Binomial:
    """Independent 0/1 features: a binomial of one trial.

    >>> jaxem.Mixture(jaxem.Bernoulli(), n_components=2).n_parameters(d=5)
    11
    """
    return Binomial(1, prior)
