"""Poisson components: log p(x|k) = Σ_j x_j log λ_kj − λ_kj − log x_j!, φ(x) = [1, x].

With a base point b, x and λ are differences from it: z = x − b, r = λ − b, and with t = r / b
log p(x|k) = Σ_j z_j log(1 + t_kj) + b_j [log(1 + t_kj) − t_kj] + log p(x_j|b_j). Counts of a
million then lose no more digits than counts of ten.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.families import counts
from jaxem.numerics import (
    count_part,
    deviance,
    log1p_minus,
    safe_divide,
    safe_log,
    safe_log1p,
    stack_rows,
)
from jaxem.priors import Gamma
from jaxem.pytree import pytree, replace


@pytree
class PoissonParams:
    """Rate of each feature in each component.

    >>> jaxem.PoissonParams(np.array([[0.5], [2.0]]))
    PoissonParams(rates=[[0.5], [2]])
    """

    rates: jax.Array  #: f[k, d]


@pytree
class Poisson:
    """Independent counts. `base` is set inside a fit: counts and rates are then differences from
    it (0: columns that are as they are).

    >>> jaxem.Mixture(jaxem.Poisson(prior=jaxem.Gamma(2, 1)), n_components=3)
    Mixture(family=Poisson(prior=Gamma(shape=2, rate=1)), n_components=3)
    """

    prior: Gamma | None = None
    base: Any = 0.0  # f[d] or 0
    shared: ClassVar[tuple[str, ...]] = ()
    scale_kind: ClassVar[str] = "counts"

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
        """b[..., d]: cells for which an expansion about the base point loses more than it gains."""
        return counts.far_below(x, base)

    def standardized(self, shift, scale):
        """The same family for z = x − shift, in which the base point is `shift` further on."""
        return replace(self, base=self.base + shift)

    def standardize(self, params, shift, scale):
        """Rates as differences from `shift` f[d]."""
        return PoissonParams(params.rates - shift[None, :])

    def unstandardize(self, params, shift, scale):
        """Rates again; never negative by rounding."""
        return PoissonParams(jnp.maximum(params.rates + shift[None, :], 0))

    def _base(self, like):
        """The base point f[d] in the dtype of f[k, d], and where there is one b[d]."""
        base = jnp.broadcast_to(jnp.asarray(self.base, like.dtype), like.shape[1:])
        return base, base > 0

    def features(self, x):
        """φ f[1 + d, n]."""
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), x.T])

    def log_base(self, x):
        """Σ_j log p(x_j|b_j), or −log x_j! where there is no base point f[n]."""
        base, there = self._base(x)
        there = there[None, :]
        raw = x + base[None, :]
        gap = jnp.where(there, -x, 1 - raw)
        own = count_part(raw) + deviance(raw, gap)
        return -jnp.sum(own - jnp.where(there, 0, 1), axis=1)

    def log_density(self, params, x):
        """log p(x|k) f[n, k] in saddle-point form (Loader 2000): exact for counts of any size."""
        raw = x + self._base(x)[0][None, :]
        rate = params.rates
        paid = jax.lax.map(lambda r: jnp.sum(deviance(raw, r[None, :] - x), axis=1), rate)
        return -(jnp.sum(count_part(raw), axis=1)[:, None] + paid.T)

    def condition(self, params):
        """Roundings that β · φ can lose f[k]; see `jaxem.families.counts`."""
        there = self._base(params.rates)[1]
        size = params.rates * jnp.abs(safe_log(params.rates))
        return counts.condition(jnp.where(there[None, :], 0, size))

    def embed(self, x):
        """Coordinates for initialisation: the counts."""
        return x + self._base(x)[0][None, :]

    def coefficients(self, params):
        """β = [Σ b (log(1 + t) − t), log(1 + t)] f[k, 1 + d]; without a base [−Σ λ, log λ]."""
        base, there = (row[None, :] for row in self._base(params.rates))
        t = params.rates / jnp.where(there, base, 1)
        constant = jnp.where(there, base * log1p_minus(t), -params.rates)
        slope = jnp.where(there, safe_log1p(t), safe_log(params.rates))
        return jnp.concatenate([jnp.sum(constant, axis=1, keepdims=True), slope], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        rates = jnp.ones((k, d), dtype)
        there = self._base(rates)[1]
        return PoissonParams(jnp.where(there[None, :], 0, rates))

    def maximize(self, stats, params, frozen=()):
        """Weighted mean count, or the posterior mode under the prior."""
        if "rates" in frozen:
            return params
        count, total = stats.moments[:, :1], stats.moments[:, 1:]
        if self.prior is not None:
            shape, rate = self.prior.like(params.rates)
            count = count + rate
            total = total + (shape - 1) - rate * self._base(params.rates)[0][None, :]
        return PoissonParams(safe_divide(total, count, params.rates))

    def log_prior(self, params):
        """Gamma log density, summed over components and features."""
        if self.prior is None:
            return jnp.zeros((), params.rates.dtype)
        return self.prior.log_density(params.rates + self._base(params.rates)[0][None, :])

    def sample(self, key, params, labels):
        """Counts f[n, d] from the components named in labels i[n]."""
        base = self._base(params.rates)[0]
        rates = params.rates + base[None, :]
        drawn = jax.random.poisson(key, rates[labels]).astype(rates.dtype)
        return drawn - base[None, :]

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "rates" in frozen else n_components * d

    def usable(self, params):
        """True where no rate is negative."""
        return jnp.all(params.rates >= -self._base(params.rates)[0][None, :], axis=1)

    def healthy(self, params, stats):
        """As `usable`: nothing here is lost to rounding."""
        return self.usable(params)
