"""A covariance that is known: only means are estimated."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxem.core.constraints import Constraint, SymmetricPD
from jaxem.core.trees import pytree
from jaxem.families.gaussian import matrices
from jaxem.families.gaussian.moments import CommonMatrix, Moments, Sums
from jaxem.families.gaussian.structure import Form


@pytree
class Known:
    """One given matrix f[d, d] for all components."""

    matrix: ArrayLike
    name: ClassVar[str] = "known"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = matrices
    constraint: ClassVar[Constraint] = SymmetricPD(shared=True)
    moments: ClassVar[Moments] = CommonMatrix()

    def check(self, d: int) -> None:
        """The given covariance must fit d columns and be positive definite."""
        given = np.asarray(self.matrix, float)
        if given.shape != (d, d):
            raise ValueError(f"covariance must have shape ({d}, {d}); got {given.shape}.")
        if not np.allclose(given, given.T) or np.linalg.eigvalsh(given).min() <= 0:
            raise ValueError("covariance must be symmetric and positive definite.")

    def holding(self, covariances: jax.Array) -> "Known":
        """Another covariance f[d, d]."""
        return Known(covariances)

    def shape(self, k: int, d: int) -> tuple[int, ...]:
        """One matrix."""
        return (d, d)

    def update(self, sums: Sums, old: jax.Array) -> jax.Array:
        """The given matrix, whatever the data."""
        return jnp.asarray(self.matrix, sums.means.dtype)

    def n_free(self, k: int, d: int) -> int:
        """0: nothing is estimated."""
        return 0

    def min_rows(self, d: int) -> int:
        """0: no component is narrower than another where all share a covariance."""
        return 0
