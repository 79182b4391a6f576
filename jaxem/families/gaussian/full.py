"""A covariance matrix for each component."""

from typing import ClassVar

import jax

from jaxem.core.constraints import Constraint, SymmetricPD
from jaxem.core.trees import pytree
from jaxem.families.gaussian import matrices
from jaxem.families.gaussian.moments import Moments, OwnMatrix, Sums
from jaxem.families.gaussian.structure import Form


@pytree
class Full:
    """One covariance matrix f[k, d, d] per component (mclust VVV)."""

    name: ClassVar[str] = "full"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = matrices
    constraint: ClassVar[Constraint] = SymmetricPD()
    moments: ClassVar[Moments] = OwnMatrix()

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """A matrix for each component."""
        return (k, d, d)

    def update(self, sums: Sums, old: jax.Array) -> jax.Array:
        """Weighted covariances f[k, d, d], or those of the posterior mode."""
        return self.moments.scatter(sums).mean(old)

    def n_free(self, k: int, d: int) -> int:
        """A symmetric matrix for each component."""
        return k * (d * (d + 1) // 2)

    def min_rows(self, d: int) -> int:
        """d + 1: that number of rows in general position has a positive definite covariance."""
        return d + 1
