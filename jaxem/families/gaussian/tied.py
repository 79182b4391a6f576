"""A covariance matrix common to all components."""

from typing import ClassVar

import jax

from jaxem.core.constraints import Constraint, SymmetricPD
from jaxem.core.trees import pytree
from jaxem.families.gaussian import matrices
from jaxem.families.gaussian.moments import CommonMatrix, Moments, Sums
from jaxem.families.gaussian.structure import Form


@pytree
class Tied:
    """One covariance matrix f[d, d] for all components (mclust EEE)."""

    name: ClassVar[str] = "tied"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = matrices
    constraint: ClassVar[Constraint] = SymmetricPD(shared=True)
    moments: ClassVar[Moments] = CommonMatrix()

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """One matrix."""
        return (d, d)

    def update(self, sums: Sums, old: jax.Array) -> jax.Array:
        """The pooled covariance f[d, d], or that of the posterior mode."""
        return self.moments.scatter(sums).mean(old)

    def n_free(self, k: int, d: int) -> int:
        """One symmetric matrix."""
        return d * (d + 1) // 2

    def min_rows(self, d: int) -> int:
        """0: no component is narrower than another where all share a covariance."""
        return 0
