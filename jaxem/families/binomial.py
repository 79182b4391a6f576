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
from jaxem.families import counts
from jaxem.families.priors import Beta
from jaxem.numerics import (
    log1p_minus,
    safe_divide,
    safe_log,
    safe_log1p,
    stack_rows,
)


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
    `base` is the base point that a fit sets, as in `Poisson`.

    >>> jaxem.Mixture(jaxem.Binomial(n_trials=10), n_components=2)
    Mixture(family=Binomial(n_trials=10), n_components=2)
    """

    n_trials: Number
    prior: Beta | None = None
    base: Number = 0.0  # f[d] or 0
    scale_kind: ClassVar[str] = "counts"
    residual_form: ClassVar[bool] = False

    standardized = counts.standardized
    embed = counts.embed
    log_base = counts.binomial_log_base
    log_density = counts.binomial_log_density

    def constraints(self) -> dict[str, Constraint]:
        """Probabilities may be exactly 0 or 1."""
        return {"probabilities": Interval(0.0, 1.0)}

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers from 0 to n_trials."""
        integer("n_trials", self.n_trials, 1)
        if self.prior is not None:
            self.prior.validate()
        trials = float(self.n_trials)
        bad = ((x < 0) | (x > trials) | (x != np.round(x))).any(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"x must hold whole numbers from 0 to {trials:g}; row {row}: {x[row]}."
            )

    def base_of(self, mean):
        """The base point of columns of these means f[..., d]: whole, and 0 for small ones."""
        return counts.base_point(mean) * (counts.base_point(self.n_trials - mean) > 0)

    def far_below(self, x, base):
        """b[..., d]: successes or failures so far below the base point that digits are lost."""
        trials = self.n_trials
        return counts.far_below(x, base) | counts.far_below(trials - x, trials - base)

    def standardize(self, params, shift, scale):
        """Probabilities as differences from shift / n_trials f[d]."""
        p, m = params.probabilities, jnp.asarray(self.n_trials, params.probabilities.dtype)
        return BinomialParams(jnp.where(shift[None, :] == 0, p, (m * p - shift[None, :]) / m))

    def unstandardize(self, params, shift, scale):
        """Probabilities for x, clipped to [0, 1] against rounding."""
        p, m = params.probabilities, jnp.asarray(self.n_trials, params.probabilities.dtype)
        whole = jnp.where(shift[None, :] == 0, p, (m * p + shift[None, :]) / m)
        return BinomialParams(jnp.clip(whole, 0, 1))

    def _base(self, like):
        """n_trials f[] and the base point f[d], in the dtype of `like`, and b[d]: not 0."""
        base = jnp.broadcast_to(jnp.asarray(self.base, like.dtype), like.shape[1:])
        return jnp.asarray(self.n_trials, like.dtype), base, base > 0

    def _probabilities(self, params):
        """Probabilities f[k, d], the base point added."""
        m, base, there = self._base(params.probabilities)
        p = params.probabilities
        return jnp.where(there[None, :], p + (base / m)[None, :], p)

    def features(self, x):
        """φ f[1 + 2d, n]."""
        m, _, there = self._base(x)
        losses = jnp.where(there, 0, m)[:, None] - x.T
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), x.T, losses])

    def condition(self, params):
        """Error of β · φ f[k], in units of the roundoff; see `jaxem.families.counts`."""
        m, _, there = self._base(params.probabilities)
        p = params.probabilities
        size = -jnp.minimum(p * safe_log(p), (1 - p) * safe_log1p(-p))
        return counts.condition(jnp.where(there[None, :], 0, m * size))

    def coefficients(self, params):
        """β = [0, log p, log(1 − p)] f[k, 1 + 2d]; with a base point as in the module's
        docstring."""
        p = params.probabilities
        m, base, there = self._base(p)
        base, there = base[None, :], there[None, :]
        t = jnp.where(there, m * p / jnp.where(there, base, 1), 0)
        s = jnp.where(there, -m * p / jnp.where(there, m - base, 1), 0)
        constant = base * log1p_minus(t) + (m - base) * log1p_minus(s)
        constant = jnp.sum(jnp.where(there, constant, 0), axis=1, keepdims=True)
        wins = jnp.where(there, safe_log1p(t), safe_log(jnp.where(there, 1, p)))
        losses = safe_log1p(jnp.where(there, s, -p))
        return jnp.concatenate([constant, wins, losses], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        half = jnp.full((k, d), 0.5, dtype)
        return BinomialParams(jnp.where(self._base(half)[2][None, :], 0, half))

    def maximize(self, stats, params, frozen=()):
        """Successes over trials; a prior adds a − 1 successes and b − 1 failures (posterior
        mode)."""
        if "probabilities" in frozen:
            return params
        d = params.probabilities.shape[1]
        m, base, there = self._base(params.probabilities)
        there = there[None, :]
        wins, losses = stats.moments[:, 1 : d + 1], stats.moments[:, d + 1 :]
        total = jnp.where(there, m * stats.moments[:, :1], wins + losses)
        if self.prior is not None:
            a, b = (value - 1 for value in self.prior.like(wins))
            wins = wins + a - jnp.where(there, (a + b) * (base / m)[None, :], 0)
            total = total + a + b
        return BinomialParams(safe_divide(wins, total, params.probabilities))

    def log_prior(self, params):
        """Beta log density, summed over components and features."""
        p = self._probabilities(params)
        return jnp.zeros((), p.dtype) if self.prior is None else self.prior.log_density(p)

    def sample(self, key, params, labels):
        """Counts f[n, d] from the components named in labels i[n]."""
        m, base, _ = self._base(params.probabilities)
        p = self._probabilities(params)[labels]
        return jax.random.binomial(key, m, p, dtype=p.dtype) - base[None, :]

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "probabilities" in frozen else n_components * d

    def usable(self, params):
        """b[k]: every probability lies in [0, 1]."""
        p = self._probabilities(params)
        return jnp.all((p >= 0) & (p <= 1), axis=1)

    def healthy(self, params, stats):
        """b[k]: as `usable`; rounding needs no check."""
        return self.usable(params)


def Bernoulli(prior: Beta | None = None) -> Binomial:
    """Independent 0/1 features: a binomial of one trial.

    >>> jaxem.Mixture(jaxem.Bernoulli(), n_components=2).n_parameters(d=5)
    11
    """
    return Binomial(1, prior)
