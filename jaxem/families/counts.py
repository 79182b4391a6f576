"""Families of counts: base points, densities (Loader 2000) and rounding errors.

log p(x|k) is a small difference of large terms when counts are large. Expanded about a base point b
near all rates, its terms are small. Where some counts lie far below b, some rates may too, and the
expansion loses as many digits there as it gains elsewhere. Such columns get no base point
(`jaxem.data.scaling`), and `error` estimates the digits that they lose.
"""

from typing import ClassVar, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.trees import replace
from jaxem.core.types import Number, Params
from jaxem.families.independent import Independent, P
from jaxem.numerics import count_part, deviance, log1p_minus, safe_log, safe_log1p

#: Smallest mean of a column whose counts are expanded about a base point.
LARGE = 8

#: A column with a count below this share of its base point gets no base point.
FAR_BELOW = 1 / 16

#: Condition of a component per unit of its largest term. The rounding error of a coefficient is the
#: same for all rows and does not average out. With this factor the limit of `jaxem.search.refine`
#: is reached at terms of about 300.
CONDITION_PER_TERM = 32

X = TypeVar("X", jax.Array, np.ndarray)


class Counts(Independent[P]):
    """Abstract: counts and their parameters as differences from a base point. The family adds its
    formula, and `exposure` where that is not 1."""

    base: Number
    largest: ClassVar[float] = float("inf")  # of a parameter; the smallest is 0
    scale_kind: ClassVar[str] = "counts"
    residual_form: ClassVar[bool] = False

    @property
    def exposure(self) -> Number:
        """The mean of a count is this number times its parameter: 1, or the number of trials."""
        return 1.0

    def base_row(self, like: jax.Array) -> jax.Array:
        """The base point f[1, d] in the dtype of f[k, d]."""
        return jnp.broadcast_to(jnp.asarray(self.base, like.dtype), (1, like.shape[1]))

    def with_base(self, params: Params) -> Params:
        """Parameters f[k, d] with the base point added."""

        def moved(value):
            return value + self.base_row(value) / jnp.asarray(self.exposure, value.dtype)

        return jax.tree.map(moved, params)

    def base_of(self, mean: X) -> X:
        """The base point of columns of these means f[..., d]: whole, so that differences of counts
        from it are exact, and 0 for small ones. NumPy and JAX arrays alike."""
        return mean.round() * (mean >= LARGE)

    def far_below(self, x: X, base: X) -> X:
        """b[..., d]: counts so far below the base point that the expansion may lose digits."""
        return x < FAR_BELOW * base

    def error(self, terms: jax.Array) -> jax.Array:
        """Error f[k] of logits with terms f[k, d], in units of the roundoff: that of the largest
        without a base, because errors of columns have either sign and do not add up."""
        return CONDITION_PER_TERM * jnp.max(jnp.where(self.base_row(terms) > 0, 0, terms), axis=1)

    def standardized(self, shift: jax.Array, scale: jax.Array) -> Self:
        """The same family for z = x − shift, whose base point is larger by `shift`."""
        return replace(self, base=self.base + shift)

    def standardize(self, params: Params, shift: jax.Array, scale: jax.Array) -> Params:
        """Parameters as differences from those of the mean `shift` f[d]."""
        return self._moved(params, -shift[None, :])

    def unstandardize(self, params: Params, shift: jax.Array, scale: jax.Array) -> Params:
        """Parameters for x, clipped to their interval against rounding."""
        moved = self._moved(params, shift[None, :])
        return jax.tree.map(lambda value: jnp.clip(value, 0, self.largest), moved)

    def _moved(self, params: Params, shift: jax.Array) -> Params:
        def moved(value):
            unit = jnp.asarray(self.exposure, value.dtype)
            return jnp.where(shift == 0, value, (unit * value + shift) / unit)

        return jax.tree.map(moved, params)

    def log_prior(self, params: Params) -> jax.Array:
        """Log prior density f[], summed over components and features; 0 without a prior."""
        return super().log_prior(self.with_base(params))

    def usable(self, params: Params) -> jax.Array:
        """b[k]: every parameter lies in its interval."""
        (value,) = vars(self.with_base(params)).values()
        return jnp.all((value >= 0) & (value <= self.largest), axis=1)

    def embed(self, x: jax.Array) -> jax.Array:
        """Coordinates for initialisation: the counts."""
        return x + self.base_row(x)


def expansion(base: jax.Array, gap: jax.Array) -> tuple[jax.Array, jax.Array]:
    """b [log(1 + t) − t] and log(1 + t) with t = gap / b, of gaps f[k, d]; 0 where b f[1, d] is."""
    t = jnp.where(base > 0, gap / jnp.where(base > 0, base, 1), 0)
    return base * log1p_minus(t), safe_log1p(t)


def poisson_log_base(self: Counts, x: jax.Array) -> jax.Array:
    """Σ_j log p(x_j|b_j) f[n], with −log x_j! for columns without a base point."""
    base = self.base_row(x)
    raw = x + base
    paid = jnp.where(base > 0, deviance(raw, -x), deviance(raw, 1 - raw) - 1)
    return -jnp.sum(count_part(raw) + paid, axis=1)


def poisson_log_density(self: Counts, params: Params, x: jax.Array) -> jax.Array:
    """log p(x|k) f[n, k] in saddle-point form: exact for counts of any size."""
    raw = x + self.base_row(x)
    paid = jax.lax.map(lambda rate: jnp.sum(deviance(raw, rate[None] - x), axis=1), params.rates)
    return -(jnp.sum(count_part(raw), axis=1)[:, None] + paid.T)


def binomial_log_base(self: Counts, x: jax.Array) -> jax.Array:
    """Σ_j log p(x_j|b_j/m) f[n], with log C(m, x_j) for columns without a base point."""
    base, m = self.base_row(x), jnp.asarray(self.exposure, x.dtype)
    wins = x + base
    losses = m - wins
    choose = wins * safe_log(wins / m) + losses * safe_log1p(-wins / m)
    paid = jnp.where(base > 0, deviance(wins, -x) + deviance(losses, x), choose)
    return jnp.sum(count_part(m) - count_part(wins) - count_part(losses) - paid, axis=1)


def binomial_log_density(self: Counts, params: Params, x: jax.Array) -> jax.Array:
    """log p(x|k) f[n, k] in saddle-point form: exact for any number of trials."""
    m = jnp.asarray(self.exposure, x.dtype)
    wins = x + self.base_row(x)
    losses = m - wins

    def paid(p):
        gap = m * p[None, :] - x
        return jnp.sum(deviance(wins, gap) + deviance(losses, -gap), axis=1)

    ways = jnp.sum(count_part(m) - count_part(wins) - count_part(losses), axis=1)
    return ways[:, None] - jax.lax.map(paid, params.probabilities).T
