"""Poisson components: log p(x|k) = Σ_j x_j log λ_kj − λ_kj − log x_j!, φ(x) = [1, x]."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from jaxem.numerics import safe_divide, safe_log, stack_rows
from jaxem.priors import Gamma
from jaxem.pytree import pytree


@pytree
class PoissonParams:
    """Rate of each feature in each component.

    >>> jaxem.PoissonParams(np.array([[0.5], [2.0]]))
    PoissonParams(rates=[[0.5], [2]])
    """

    rates: jax.Array  #: f[k, d]


@pytree
class Poisson:
    """Independent counts.

    >>> jaxem.Mixture(jaxem.Poisson(prior=jaxem.Gamma(2, 1)), n_components=3)
    Mixture(family=Poisson(prior=Gamma(shape=2, rate=1)), n_components=3)
    """

    prior: Gamma | None = None
    shared: ClassVar[tuple[str, ...]] = ()

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers, not negative."""
        if self.prior is not None:
            self.prior.validate()
        bad = ((x < 0) | (x != np.round(x))).any(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(f"x must hold counts (whole numbers from 0); row {row}: {x[row]}.")

    def features(self, x):
        """φ f[1 + d, n]."""
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), x.T])

    def log_base(self, x):
        """−Σ_j log x_j! f[n]."""
        return -jnp.sum(gammaln(x + 1), axis=1)

    def embed(self, x):
        """Coordinates for initialisation: the counts."""
        return x

    def coefficients(self, params):
        """β = [−Σ λ, log λ] f[k, 1 + d]."""
        constant = -jnp.sum(params.rates, axis=1, keepdims=True)
        return jnp.concatenate([constant, safe_log(params.rates)], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return PoissonParams(jnp.ones((k, d), dtype))

    def maximize(self, stats, params, frozen=()):
        """Weighted mean count, or the posterior mode under the prior."""
        if "rates" in frozen:
            return params
        count, total = stats.moments[:, :1], stats.moments[:, 1:]
        if self.prior is not None:
            count = count + jnp.asarray(self.prior.rate, count.dtype)
            total = total + (jnp.asarray(self.prior.shape, count.dtype) - 1)
        return PoissonParams(safe_divide(total, count, params.rates))

    def log_prior(self, params):
        """Gamma log density, summed over components and features."""
        rates = params.rates
        return jnp.zeros((), rates.dtype) if self.prior is None else self.prior.log_density(rates)

    def sample(self, key, params, labels):
        """Counts f[n, d] from the components named in labels i[n]."""
        return jax.random.poisson(key, params.rates[labels]).astype(params.rates.dtype)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "rates" in frozen else n_components * d

    def usable(self, params):
        """True where no rate is negative."""
        return jnp.all(params.rates >= 0, axis=1)

    def healthy(self, params, stats):
        """As `usable`: nothing here is lost to rounding."""
        return self.usable(params)
