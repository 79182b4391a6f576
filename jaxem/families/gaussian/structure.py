"""The protocols of covariance structures, and of the two forms that covariances have."""

from typing import ClassVar, Protocol

import jax
from jax.typing import ArrayLike

from jaxem.core.constraints import Constraint
from jaxem.core.types import Array
from jaxem.families.gaussian.moments import Moments, Sums
from jaxem.families.gaussian.params import GaussianParams


class Form(Protocol):
    """Densities and changes of units for one form of covariances. A module of functions: `matrices`
    for f[k, d, d] and f[d, d], `variances` for f[k, d] and f[k]."""

    def expanded(self, params: GaussianParams) -> jax.Array:
        """The covariance matrix of every component f[k, d, d]."""
        ...

    def deviations(self, params: GaussianParams) -> jax.Array:
        """Lower Cholesky factors f[.., d, d], or standard deviations f[k, d]."""
        ...

    def columns(self, covariances: jax.Array, keep: Array) -> jax.Array:
        """Covariances of some columns i[c] alone, in the same form."""
        ...

    def conditional(self, covariances: jax.Array, rest: Array, found: jax.Array) -> jax.Array:
        """Covariances of the columns `rest` i[q] given all other columns, in the same form; `found`
        f[k, q, q] are the same covariances as matrices."""
        ...

    def squared_scale(self, covariances: jax.Array, scale: jax.Array) -> jax.Array:
        """The factor of the covariances when the columns are multiplied by scale f[d]."""
        ...

    def ridge(self, covariances: jax.Array, variance: jax.Array) -> jax.Array:
        """What covariances of this shape gain where the variance f[d] is added to the columns."""
        ...

    def base_point(self, params: GaussianParams, weights: jax.Array) -> jax.Array:
        """As `jaxem.core.protocols.BasePoint`."""
        ...

    def log_density(self, params: GaussianParams, x: jax.Array) -> jax.Array:
        """log N(x; μ_k, Σ_k) f[n, k] from residuals."""
        ...

    def condition(self, params: GaussianParams) -> jax.Array:
        """The size of the terms that cancel in the quadratic form f[k]."""
        ...

    def narrowness(self, params: GaussianParams, weights: jax.Array) -> jax.Array:
        """As `jaxem.core.protocols.Bounded`."""
        ...

    def coloured(self, params: GaussianParams, labels: jax.Array, noise: jax.Array) -> jax.Array:
        """Standard normal noise f[n, d] with the covariances of the components in labels i[n]."""
        ...

    def usable(self, params: GaussianParams) -> jax.Array:
        """b[k]: finite means and positive definite covariances."""
        ...


class Covariance(Protocol):
    """How the covariances of components are tied, shaped and estimated: all that a new structure
    writes."""

    name: ClassVar[str]  #: scikit-learn's
    scale_kind: ClassVar[str]  #: as in `jaxem.core.protocols.Rescalable`
    form: ClassVar[Form]
    constraint: ClassVar[Constraint]
    moments: ClassVar[Moments]

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """The shape of the covariances."""
        ...

    def update(self, sums: Sums, old: jax.Array) -> jax.Array:
        """Covariances from the scatter about the new means; `old` where a component is empty."""
        ...

    def n_free(self, k: int, d: int) -> int:
        """Free parameters of the covariances."""
        ...

    def min_rows(self, d: int) -> int:
        """Number of rows that a component can always fit; 0: no bound."""
        ...


class GivenCovariance(Protocol):
    """A structure with a given covariance, which it does not estimate."""

    @property
    def matrix(self) -> ArrayLike:
        """The covariance f[d, d]."""
        ...

    def check(self, d: int) -> None:
        """ValueError unless the matrix is a covariance of d columns."""

    def holding(self, covariances: jax.Array) -> "Covariance":
        """The same structure with other covariances."""
        ...
