"""Shared by families of counts: base points, densities (Loader 2000) and rounding errors.

log p(x|k) is a small difference of large terms when counts are large. Expanded about a base point b
near all rates, its terms are small. Where some counts lie far below b, some rates may too, and the
expansion loses as many digits there as it gains elsewhere. Such columns get no base point
(`jaxem.data.scaling`), and `condition` estimates the digits that they lose.
"""

from typing import Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.trees import replace
from jaxem.core.types import Number, Params
from jaxem.numerics import count_part, deviance, safe_log, safe_log1p

#: Smallest mean of a column whose counts are expanded about a base point.
LARGE = 8

#: A column with a count below this share of its base point gets no base point.
FAR_BELOW = 1 / 16

#: Condition of a component per unit of its largest term. The rounding error of a coefficient is the
#: same for all rows and does not average out. With this factor the limit of `jaxem.search.refine`
#: is reached at terms of about 300.
WEIGHT = 32

A = TypeVar("A", jax.Array, np.ndarray)


class Based(Protocol):
    """A family whose counts are differences from a base point."""

    @property
    def base(self) -> Number:
        """The base point f[d], or 0."""
        ...


class OfTrials(Based, Protocol):
    """Such a family of counts that end at a number of trials."""

    @property
    def n_trials(self) -> Number:
        """The number of trials."""
        ...


B = TypeVar("B", bound=Based)


def base_point(mean: A) -> A:
    """Whole numbers near the means f[..., d], so that differences of counts from them are exact;
    0 where the mean is small. NumPy and JAX arrays alike."""
    return mean.round() * (mean >= LARGE)


def far_below(x: A, base: A) -> A:
    """b[..., d]: counts far below the base point, where rates may be too. NumPy and JAX alike."""
    return x < FAR_BELOW * base


def condition(terms: jax.Array) -> jax.Array:
    """Error f[k] of logits with terms f[k, d], in units of the roundoff: that of the largest term,
    because errors of columns have either sign and do not add up."""
    return WEIGHT * jnp.max(terms, axis=1)


def standardized(self: B, shift: jax.Array, scale: jax.Array) -> B:
    """The same family for z = x − shift, whose base point is larger by `shift`."""
    return replace(self, base=self.base + shift)


def base_row(self: Based, like: jax.Array) -> jax.Array:
    """The family's base point f[1, d] in the dtype of f[k, d]."""
    return jnp.broadcast_to(jnp.asarray(self.base, like.dtype), (1, like.shape[1]))


def embed(self: Based, x: jax.Array) -> jax.Array:
    """Coordinates for initialisation: the counts."""
    return x + base_row(self, x)


def poisson_log_base(self: Based, x: jax.Array) -> jax.Array:
    """Σ_j log p(x_j|b_j) f[n], with −log x_j! for columns without a base point."""
    base = base_row(self, x)
    raw = x + base
    paid = jnp.where(base > 0, deviance(raw, -x), deviance(raw, 1 - raw) - 1)
    return -jnp.sum(count_part(raw) + paid, axis=1)


def poisson_log_density(self: Based, params: Params, x: jax.Array) -> jax.Array:
    """log p(x|k) f[n, k] in saddle-point form: exact for counts of any size."""
    raw = x + base_row(self, x)
    paid = jax.lax.map(lambda rate: jnp.sum(deviance(raw, rate[None] - x), axis=1), params.rates)
    return -(jnp.sum(count_part(raw), axis=1)[:, None] + paid.T)


def binomial_log_base(self: OfTrials, x: jax.Array) -> jax.Array:
    """Σ_j log p(x_j|b_j/m) f[n], with log C(m, x_j) for columns without a base point."""
    base, m = base_row(self, x), jnp.asarray(self.n_trials, x.dtype)
    wins = x + base
    losses = m - wins
    choose = wins * safe_log(wins / m) + losses * safe_log1p(-wins / m)
    paid = jnp.where(base > 0, deviance(wins, -x) + deviance(losses, x), choose)
    return jnp.sum(count_part(m) - count_part(wins) - count_part(losses) - paid, axis=1)


def binomial_log_density(self: OfTrials, params: Params, x: jax.Array) -> jax.Array:
    """log p(x|k) f[n, k] in saddle-point form: exact for any number of trials."""
    m = jnp.asarray(self.n_trials, x.dtype)
    wins = x + base_row(self, x)
    losses = m - wins

    def paid(p):
        gap = m * p[None, :] - x
        return jnp.sum(deviance(wins, gap) + deviance(losses, -gap), axis=1)

    ways = jnp.sum(count_part(m) - count_part(wins) - count_part(losses), axis=1)
    return ways[:, None] - jax.lax.map(paid, params.probabilities).T
