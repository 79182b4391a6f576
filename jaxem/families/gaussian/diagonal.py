"""A variance for each component and feature."""

from typing import ClassVar

import jax

from jaxem.core.constraints import Constraint, Positive
from jaxem.core.trees import pytree
from jaxem.families.gaussian import variances
from jaxem.families.gaussian.moments import Moments, OwnVariances, Sums
from jaxem.families.gaussian.structure import Form


@pytree
class Diagonal:
    """Independent features, variances f[k, d] (mclust VVI)."""

    name: ClassVar[str] = "diag"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = variances
    constraint: ClassVar[Constraint] = Positive()
    moments: ClassVar[Moments] = OwnVariances()

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """A variance for each component and feature."""
        return (k, d)

    def update(self, sums: Sums, old: jax.Array) -> jax.Array:
        """Weighted variances f[k, d], or those of the posterior mode."""
        return self.moments.scatter(sums).mean(old)

    def n_free(self, k: int, d: int) -> int:
        """A variance for each feature of each component."""
        return k * d

    def min_rows(self, d: int) -> int:
        """2: two different rows have a variance in every feature."""
        return 2
