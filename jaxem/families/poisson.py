"""Poisson components: log p(x|k) = Σ_j x_j log λ_kj − λ_kj − log x_j!, φ(x) = [1, x].

With a base point b, x and λ are differences from it: z = x − b, r = λ − b, and with t = r / b
log p(x|k) = Σ_j z_j log(1 + t_kj) + b_j [log(1 + t_kj) − t_kj] + log p(x_j|b_j). Counts of a
million then lose no more digits than counts of ten.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import Constraint, Interval
from jaxem.core.trees import pytree
from jaxem.core.types import Number
from jaxem.families import counts, independent
from jaxem.families.priors import Gamma
from jaxem.numerics import safe_divide, safe_log


@pytree
class PoissonParams:
    """Rate of each feature in each component.

    >>> jaxem.PoissonParams(np.array([[0.5], [2.0]]))
    PoissonParams(rates=[[0.5], [2]])
    """

    rates: jax.Array  #: f[k, d]


@pytree
class Poisson(counts.Counts[Gamma]):
    """Independent counts. `base` is the base point that a fit sets: counts and rates are then
    differences from it. Columns with base 0 are unchanged.

    >>> jaxem.Mixture(jaxem.Poisson(prior=jaxem.Gamma(2, 1)), n_components=3)
    Mixture(family=Poisson(prior=Gamma(shape=2, rate=1)), n_components=3)
    """

    prior: Gamma | None = None
    base: Number = 0.0  # f[d] or 0

    log_base = counts.poisson_log_base
    log_density = counts.poisson_log_density

    def constraints(self) -> dict[str, Constraint]:
        """Rates are at least 0; a rate is 0 where all counts are 0."""
        return {"rates": Interval(0.0, self.largest)}

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers, not negative."""
        super().validate(x)
        bad = (x < 0) | (x != np.round(x))
        independent.refuse(x, bad, "hold counts (whole numbers from 0)")

    def condition(self, params):
        """Error of β · φ f[k], in units of the roundoff; see `jaxem.families.counts`."""
        return self.error(params.rates * jnp.abs(safe_log(params.rates)))

    def coefficients(self, params):
        """β = [Σ b (log(1 + t) − t), log(1 + t)] f[k, 1 + d]; without a base [−Σ λ, log λ]."""
        there = self.base_row(params.rates) > 0
        constant, slope = counts.expansion(self.base_row(params.rates), params.rates)
        constant = jnp.where(there, constant, -params.rates)
        slope = jnp.where(there, slope, safe_log(params.rates))
        return jnp.concatenate([jnp.sum(constant, axis=1, keepdims=True), slope], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        rates = jnp.ones((k, d), dtype)
        return PoissonParams(jnp.where(self.base_row(rates) > 0, 0, rates))

    def maximize(self, stats, params, frozen=()):
        """Weighted mean count, or the posterior mode under the prior."""
        if "rates" in frozen:
            return params
        count, total = stats.moments[:, :1], stats.moments[:, 1:]
        if self.prior is not None:
            shape, rate = self.prior.like(params.rates)
            count = count + rate
            total = total + (shape - 1) - rate * self.base_row(params.rates)
        return PoissonParams(safe_divide(total, count, params.rates))

    def sample(self, key, params, labels):
        """Counts f[n, d] from the components named in labels i[n]."""
        drawn = jax.random.poisson(key, self.with_base(params).rates[labels])
        base = self.base_row(params.rates)
        return drawn.astype(base.dtype) - base
