"""A variance for each component, common to its features."""

from typing import ClassVar

import jax

from jaxem.core.constraints import Constraint, Positive
from jaxem.core.trees import pytree
from jaxem.families.gaussian import variances
from jaxem.families.gaussian.moments import Moments, OneVariance, Sums
from jaxem.families.gaussian.structure import Form


@pytree
class Spherical:
    """One variance per component, f[k] (mclust VII)."""

    name: ClassVar[str] = "spherical"
    scale_kind: ClassVar[str] = "scalar"
    form: ClassVar[Form] = variances
    constraint: ClassVar[Constraint] = Positive()
    moments: ClassVar[Moments] = OneVariance()

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """A variance for each component."""
        return (k,)

    def update(self, sums: Sums, old: jax.Array) -> jax.Array:
        """Weighted mean variances f[k], or those of the posterior mode."""
        return self.moments.scatter(sums).mean(old)

    def n_free(self, k: int, d: int) -> int:
        """A variance for each component."""
        return k

    def min_rows(self, d: int) -> int:
        """2: two different rows have a variance."""
        return 2
