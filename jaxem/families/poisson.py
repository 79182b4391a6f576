"""Poisson components: log p(x|k) = Σ_j x_j log λ_kj − λ_kj − log x_j!, φ(x) = [1, x].

With a base point b, x and λ are differences from it: z = x − b, r = λ − b, and with t = r / b
log p(x|k) = Σ_j z_j log(1 + t_kj) + b_j [log(1 + t_kj) − t_kj] + log p(x_j|b_j). Counts of a
million then lose no more digits than counts of ten.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import Constraint, Interval
from jaxem.core.trees import pytree
from jaxem.core.types import Number
from jaxem.families import counts
from jaxem.families.priors import Gamma
from jaxem.numerics import (
    log1p_minus,
    safe_divide,
    safe_log,
    safe_log1p,
    stack_rows,
)


@pytree
class PoissonParams:
    """Rate of each feature in each component.

    >>> jaxem.PoissonParams(np.array([[0.5], [2.0]]))
    PoissonParams(rates=[[0.5], [2]])
    """

    rates: jax.Array  #: f[k, d]


@pytree
class Poisson:
    """Independent counts. `base` is the base point that a fit sets: counts and rates are then
    differences from it. Columns with base 0 are unchanged.

    >>> jaxem.Mixture(jaxem.Poisson(prior=jaxem.Gamma(2, 1)), n_components=3)
    Mixture(family=Poisson(prior=Gamma(shape=2, rate=1)), n_components=3)
    """

    prior: Gamma | None = None
    base: Number = 0.0  # f[d] or 0
    scale_kind: ClassVar[str] = "counts"
    residual_form: ClassVar[bool] = False

    standardized = counts.standardized
    embed = counts.embed
    log_base = counts.poisson_log_base
    log_density = counts.poisson_log_density

    def constraints(self) -> dict[str, Constraint]:
        """Rates are at least 0; a rate is 0 where all counts are 0."""
        return {"rates": Interval(0.0, float("inf"))}

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers, not negative."""
        if self.prior is not None:
            self.prior.validate()
        bad = ((x < 0) | (x != np.round(x))).any(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(f"x must hold counts (whole numbers from 0); row {row}: {x[row]}.")

    def base_of(self, mean):
        """The base point of columns of these means f[..., d]: whole, and 0 for small ones."""
        return counts.base_point(mean)

    def far_below(self, x, base):
        """b[..., d]: counts so far below the base point that the expansion may lose digits."""
        return counts.far_below(x, base)

    def standardize(self, params, shift, scale):
        """Rates as differences from `shift` f[d]."""
        return PoissonParams(params.rates - shift[None, :])

    def unstandardize(self, params, shift, scale):
        """Rates for x, clipped at 0 against rounding."""
        return PoissonParams(jnp.maximum(params.rates + shift[None, :], 0))

    def features(self, x):
        """φ f[1 + d, n]."""
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), x.T])

    def condition(self, params):
        """Error of β · φ f[k], in units of the roundoff; see `jaxem.families.counts`."""
        size = params.rates * jnp.abs(safe_log(params.rates))
        return counts.condition(jnp.where(counts.base_row(self, size) > 0, 0, size))

    def coefficients(self, params):
        """β = [Σ b (log(1 + t) − t), log(1 + t)] f[k, 1 + d]; without a base [−Σ λ, log λ]."""
        base = counts.base_row(self, params.rates)
        there = base > 0
        t = params.rates / jnp.where(there, base, 1)
        constant = jnp.where(there, base * log1p_minus(t), -params.rates)
        slope = jnp.where(there, safe_log1p(t), safe_log(params.rates))
        return jnp.concatenate([jnp.sum(constant, axis=1, keepdims=True), slope], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        rates = jnp.ones((k, d), dtype)
        return PoissonParams(jnp.where(counts.base_row(self, rates) > 0, 0, rates))

    def maximize(self, stats, params, frozen=()):
        """Weighted mean count, or the posterior mode under the prior."""
        if "rates" in frozen:
            return params
        count, total = stats.moments[:, :1], stats.moments[:, 1:]
        if self.prior is not None:
            shape, rate = self.prior.like(params.rates)
            count = count + rate
            total = total + (shape - 1) - rate * counts.base_row(self, params.rates)
        return PoissonParams(safe_divide(total, count, params.rates))

    def log_prior(self, params):
        """Gamma log density, summed over components and features."""
        if self.prior is None:
            return jnp.zeros((), params.rates.dtype)
        return self.prior.log_density(params.rates + counts.base_row(self, params.rates))

    def sample(self, key, params, labels):
        """Counts f[n, d] from the components named in labels i[n]."""
        base = counts.base_row(self, params.rates)
        drawn = jax.random.poisson(key, (params.rates + base)[labels])
        return drawn.astype(base.dtype) - base

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "rates" in frozen else n_components * d

    def usable(self, params):
        """b[k]: no rate is negative."""
        return jnp.all(params.rates >= -counts.base_row(self, params.rates), axis=1)

    def healthy(self, params, stats):
        """b[k]: as `usable`; rounding needs no check."""
        return self.usable(params)
