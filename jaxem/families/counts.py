"""What families of counts share: base points, densities (Loader 2000), and what rounding costs.

log p(x|k) is a small difference of large terms when counts are large. About a base point b near
all rates its terms are small; but where some counts lie far below b, so may rates, and an expansion
about b loses there what it gains elsewhere. Such columns are left as they are
(`jaxem.data.scaling`), and `condition` says how many digits they lose.
"""

from typing import Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.trees import replace
from jaxem.core.types import Number, Params
from jaxem.numerics import count_part, deviance, safe_log, safe_log1p

#: Means from which counts are expanded about a base point.
LARGE = 8

#: A count below this share of its base point keeps its column where it is.
FAR_BELOW = 1 / 16

#: Condition of a component per unit of its largest term. Rounding of a coefficient is the same for
#: all rows, so it does not average out; this puts the limit of `jaxem.search.refine` at terms of
#: some 300.
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
    """b[..., d]: counts so far below the base point that a rate might be. NumPy and JAX alike."""
    return x < FAR_BELOW * base


def condition(terms: jax.Array) -> jax.Array:
    """Roundings f[k] that logits can lose by their terms f[k, d]: by the largest, because errors of
    columns are as often up as down."""
    return WEIGHT * jnp.max(terms, axis=1)


def standardized(self: B, shift: jax.Array, scale: jax.Array) -> B:
    """The same family for z = x − shift, in which the base point is `shift` further on."""
    return replace(self, base=self.base + shift)


def base_row(self: Based, like: jax.Array) -> jax.Array:
    """The family's base point f[1, d] in the dtype of f[k, d]."""
    return jnp.broadcast_to(jnp.asarray(self.base, like.dtype), (1, like.shape[1]))


def embed(self: Based, x: jax.Array) -> jax.Array:
    """Coordinates for initialisation: the counts."""
    return x + base_row(self, x)


def poisson_log_base(self: Based, x: jax.Array) -> jax.Array:
    """Σ_j log p(x_j|b_j), or −log x_j! where there is no base point f[n]."""
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
    """Σ_j log p(x_j|b_j/m), or log C(m, x_j) where there is no base point f[n]."""
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
