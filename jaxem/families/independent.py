"""Families of independent columns whose parameters are one field, f[k, d, ...]: what needs no
formula of the family."""

from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import Constraint
from jaxem.core.protocols import Statistics
from jaxem.core.types import Params
from jaxem.families.priors import Prior
from jaxem.numerics import stack_rows

P = TypeVar("P", bound=Prior)


class Independent(Generic[P]):
    """Abstract. A family adds its prior, constraints, `coefficients`, `blank`, `maximize`, `sample`
    and `usable`, and features other than [1, x]."""

    prior: P | None

    def constraints(self) -> dict[str, Constraint]:
        """The constraint of the field."""
        raise NotImplementedError

    def usable(self, params: Params) -> jax.Array:
        """b[k]: the parameters define a density."""
        raise NotImplementedError

    def validate(self, x: np.ndarray) -> None:
        """ValueError for a prior with numbers out of range."""
        if self.prior is not None:
            self.prior.validate()

    def features(self, x: jax.Array) -> jax.Array:
        """φ = [1, x] f[1 + d, n]."""
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), x.T])

    def log_base(self, x: jax.Array) -> jax.Array:
        """log h = 0 f[n]."""
        return jnp.zeros(x.shape[:1], x.dtype)

    def embed(self, x: jax.Array) -> jax.Array:
        """Coordinates for initialisation: x itself."""
        return x

    def log_prior(self, params: Params) -> jax.Array:
        """Log prior density f[], summed over components and features; 0 without a prior."""
        (value,) = vars(params).values()
        return jnp.zeros((), value.dtype) if self.prior is None else self.prior.log_density(value)

    def n_parameters(self, n_components: int, d: int, frozen: tuple[str, ...] = ()) -> int:
        """Free parameters of the components: one for each column."""
        return 0 if set(self.constraints()) <= set(frozen) else n_components * d

    def healthy(self, params: Params, stats: Statistics) -> jax.Array:
        """b[k]: as `usable`; rounding needs no check."""
        return self.usable(params)


def refuse(x: np.ndarray, bad: np.ndarray, must: str) -> None:
    """ValueError for the first row of x f[n, d] with a value that is `bad` b[n, d]."""
    if bad.any():
        row = int(np.argmax(bad.any(axis=1)))
        raise ValueError(f"x must {must}; row {row}: {x[row]}.")
