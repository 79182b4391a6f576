"""Exponential components: log p(x|k) = Σ_j log λ_kj − λ_kj x_j, φ(x) = [1, x]."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import Constraint, Positive
from jaxem.core.trees import pytree, replace
from jaxem.families import independent
from jaxem.families.priors import Gamma
from jaxem.numerics import einsum, safe_divide, safe_log


@pytree
class ExponentialParams:
    """Rate (one over the mean) of each feature in each component.

    >>> jaxem.ExponentialParams(np.array([[0.5], [2.0]]))
    ExponentialParams(rates=[[0.5], [2]])
    """

    rates: jax.Array  #: f[k, d]


@pytree
class Exponential(independent.Independent[Gamma]):
    """Independent waiting times.

    >>> jaxem.Mixture(jaxem.Exponential(), n_components=2)
    Mixture(family=Exponential(), n_components=2)
    """

    prior: Gamma | None = None
    scale_kind: ClassVar[str] = "positive"
    residual_form: ClassVar[bool] = False

    def constraints(self) -> dict[str, Constraint]:
        """Rates are positive."""
        return {"rates": Positive()}

    def validate(self, x: np.ndarray) -> None:
        """Numbers that are not negative."""
        super().validate(x)
        independent.refuse(x, x < 0, "not be negative")

    def standardized(self, shift, scale):
        """The same family for z = x / scale."""
        if self.prior is None:
            return self
        return replace(self, prior=replace(self.prior, rate=self.prior.rate / scale))

    def standardize(self, params, shift, scale):
        """Rates for z = x / scale f[d]."""
        return ExponentialParams(params.rates * scale[None, :])

    def unstandardize(self, params, shift, scale):
        """Rates for x = scale · z."""
        return ExponentialParams(params.rates / scale[None, :])

    def coefficients(self, params):
        """β = [Σ log λ, −λ] f[k, 1 + d]."""
        constant = jnp.sum(safe_log(params.rates), axis=1, keepdims=True)
        return jnp.concatenate([constant, -params.rates], axis=1)

    def log_density(self, params, x):
        """log p(x|k) f[n, k]."""
        total = einsum("nj,kj->nk", x, params.rates)
        return jnp.sum(safe_log(params.rates), axis=1)[None, :] - total

    def condition(self, params):
        """Error of β · φ f[k], in units of the roundoff: 0, since no large terms cancel."""
        return jnp.zeros(params.rates.shape[:1], params.rates.dtype)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return ExponentialParams(jnp.ones((k, d), dtype))

    def maximize(self, stats, params, frozen=()):
        """One over the weighted mean, or the posterior mode under the prior."""
        if "rates" in frozen:
            return params
        count, total = stats.moments[:, :1], stats.moments[:, 1:]
        if self.prior is not None:
            shape, rate = self.prior.like(params.rates)
            count, total = count + shape - 1, total + rate
        return ExponentialParams(safe_divide(count, total, params.rates))

    def sample(self, key, params, labels):
        """Times f[n, d] from the components named in labels i[n]."""
        rates = params.rates[labels]
        return jax.random.exponential(key, rates.shape, rates.dtype) / rates

    def usable(self, params):
        """b[k]: every rate is positive."""
        return jnp.all(params.rates > 0, axis=1)
