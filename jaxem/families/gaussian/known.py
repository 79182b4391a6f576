"""A covariance that is known: φ(x) = [1, x], and only means are estimated."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxem.core.constraints import Constraint, SymmetricPD
from jaxem.core.trees import pytree
from jaxem.families.gaussian import matrices
from jaxem.families.gaussian.params import LOG_2PI, linear_products, linear_rows, outer
from jaxem.families.gaussian.structure import Form
from jaxem.numerics import einsum, inverse_factor, stack_rows


@pytree
class Known:
    """One given matrix f[d, d] for all components."""

    matrix: ArrayLike
    name: ClassVar[str] = "known"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = matrices
    constraint: ClassVar[Constraint] = SymmetricPD(shared=True)

    def check(self, d: int) -> None:
        """The given covariance must fit d columns and be positive definite."""
        given = np.asarray(self.matrix, float)
        if given.shape != (d, d):
            raise ValueError(f"covariance must have shape ({d}, {d}); got {given.shape}.")
        if not np.allclose(given, given.T) or np.linalg.eigvalsh(given).min() <= 0:
            raise ValueError("covariance must be symmetric and positive definite.")

    def log_base(self, x):
        """−½ (d log 2π + log|Σ| + xᵀΛx) f[n]."""
        w, log_det, _ = inverse_factor(jnp.asarray(self.matrix, x.dtype))
        z = einsum("ij,nj->ni", w, x)
        return -0.5 * (x.shape[1] * LOG_2PI + log_det + jnp.sum(z * z, axis=1))

    def standardized(self, scale):
        """The same covariance of z = x / scale."""
        return Known(jnp.asarray(self.matrix) / outer(scale, scale))

    def holding(self, covariances):
        """Another covariance f[d, d]."""
        return Known(covariances)

    def exact(self, dtype):
        """The matrix f[d, d] exactly as given, without the rounding of a change of units."""
        return jnp.asarray(self.matrix, dtype)

    def features(self, x):
        """φ f[1 + d, n]."""
        return stack_rows(linear_rows(x))

    def products(self, d):
        """φ as products of the atoms [1, x]."""
        return linear_products(d)

    def coefficients(self, params):
        """β = [−½ μᵀΛμ, Λμ] f[k, 1 + d]."""
        return matrices.linear_coefficients(params)

    def blank(self, k, d, dtype):
        """The given matrix."""
        return self.exact(dtype)

    def update(self, stats, means, old, prior, ridge):
        """The given matrix, whatever the data."""
        return self.exact(means.dtype)

    def n_free(self, k: int, d: int) -> int:
        """0: nothing is estimated."""
        return 0

    def min_rows(self, d: int) -> int:
        """0: no component is narrower than another where all share a covariance."""
        return 0

    def healthy(self, params, stats) -> jax.Array:
        """b[k]: finite means."""
        return jnp.all(jnp.isfinite(params.means), axis=-1)
