"""What a covariance structure is, and the two forms that covariances come in."""

from typing import Any, ClassVar, Protocol

import jax
from jax.typing import ArrayLike

from jaxem.core.constraints import Constraint
from jaxem.core.protocols import Statistics
from jaxem.core.types import Array, DType
from jaxem.families.gaussian.params import GaussianParams


class Form(Protocol):
    """Densities and units by one form of covariances: a module of functions, `matrices` for
    f[k, d, d] and f[d, d] or `variances` for f[k, d] and f[k]."""

    def expanded(self, params: GaussianParams) -> jax.Array:
        """The covariance matrix of every component f[k, d, d]."""
        ...

    def deviations(self, params: GaussianParams) -> jax.Array:
        """Roots f[.., d, d] (lower) of the matrices, or standard deviations f[k, d]."""
        ...

    def columns(self, covariances: jax.Array, keep: Array) -> jax.Array:
        """Covariances of some columns i[c] alone, in the same form."""
        ...

    def conditional(self, covariances: jax.Array, rest: Array, found: jax.Array) -> jax.Array:
        """Covariances of the columns `rest` i[q] given all others, in the same form, of those as
        matrices f[k, q, q]."""
        ...

    def squared_scale(self, covariances: jax.Array, scale: jax.Array) -> jax.Array:
        """What covariances grow by where columns do by scale f[d]."""
        ...

    def base_point(self, params: GaussianParams, weights: jax.Array) -> jax.Array:
        """As `jaxem.core.protocols.BasePoint`."""
        ...

    def log_density(self, params: GaussianParams, x: jax.Array) -> jax.Array:
        """log N(x; μ_k, Σ_k) f[n, k] from residuals."""
        ...

    def condition(self, params: GaussianParams) -> jax.Array:
        """The size of what cancels in the quadratic form f[k]."""
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
    """How the covariances of components are tied, shaped and estimated."""

    name: ClassVar[str]  #: scikit-learn's
    scale_kind: ClassVar[str]  #: as in `jaxem.core.protocols.Rescalable`
    form: ClassVar[Form]
    constraint: ClassVar[Constraint]

    def features(self, x: jax.Array) -> jax.Array:
        """φ f[p, n]: 1, x, and what quadratic features there are."""
        ...

    def products(self, d: int) -> tuple[tuple[int, int], ...]:
        """φ as products of the atoms [1, x]; empty where it is none."""
        ...

    def coefficients(self, params: GaussianParams) -> jax.Array:
        """β f[k, p]."""
        ...

    def blank(self, k: int, d: int, dtype: DType) -> jax.Array:
        """Covariances of the right shape, to be overwritten by an M-step."""
        ...

    def update(
        self, stats: Statistics, means: jax.Array, old: jax.Array, prior: Any, ridge: jax.Array
    ) -> jax.Array:
        """Covariances about the new means f[k, d], with the prior, plus the ridge f[d]."""
        ...

    def n_free(self, k: int, d: int) -> int:
        """Free parameters of the covariances."""
        ...

    def min_rows(self, d: int) -> int:
        """Rows that any component fits, however spurious; 0 where none fits few rows."""
        ...

    def healthy(self, params: GaussianParams, stats: Statistics) -> jax.Array:
        """b[k]: usable, and above rounding of the second moments."""
        ...


class GivenCovariance(Protocol):
    """A structure that estimates nothing: it holds the covariance itself."""

    @property
    def matrix(self) -> ArrayLike:
        """The covariance f[d, d]."""
        ...

    def log_base(self, x: jax.Array) -> jax.Array:
        """The part of the log density that no parameter enters f[n]."""
        ...

    def check(self, d: int) -> None:
        """ValueError for what is no covariance of d columns."""

    def standardized(self, scale: jax.Array) -> "Covariance":
        """The same structure for z = x / scale."""
        ...

    def holding(self, covariances: jax.Array) -> "Covariance":
        """The structure with other covariances."""
        ...

    def exact(self, dtype: DType) -> jax.Array:
        """The covariances that it holds."""
        ...
