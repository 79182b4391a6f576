"""Full covariance: φ(x) = [1, x, vech(x xᵀ)]."""

from typing import ClassVar

import jax.numpy as jnp

from jaxem.core.constraints import Constraint, SymmetricPD
from jaxem.core.trees import pytree
from jaxem.families.gaussian import matrices, quadratic_form
from jaxem.families.gaussian.params import (
    linear_products,
    linear_rows,
    outer,
    square_products,
    square_rows,
    unpack,
)
from jaxem.families.gaussian.structure import Form
from jaxem.numerics import safe_divide, stack_rows


@pytree
class Full:
    """One covariance matrix f[k, d, d] per component (mclust VVV)."""

    name: ClassVar[str] = "full"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = matrices
    constraint: ClassVar[Constraint] = SymmetricPD()

    def features(self, x):
        """φ f[1 + d + d(d+1)/2, n]."""
        return stack_rows([*linear_rows(x), *square_rows(x)])

    def products(self, d):
        """φ as products of the atoms [1, x]."""
        return (*linear_products(d), *square_products(d))

    def coefficients(self, params):
        """β of each component: `jaxem.families.gaussian.quadratic_form`."""
        return quadratic_form.coefficients(params.means, params.covariances)

    def blank(self, k, d, dtype):
        """Zeros f[k, d, d]."""
        return jnp.zeros((k, d, d), dtype)

    def update(self, stats, means, old, prior, ridge):
        """Weighted covariances f[k, d, d], or those of the posterior mode."""
        d = means.shape[-1]
        moments = stats.moments
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1 :]
        cross = outer(means, first)
        scatter = unpack(second, d) - cross - cross.swapaxes(-1, -2)
        scatter = scatter + count[:, None, None] * outer(means, means)
        total = count
        if prior is not None:
            gap = means - prior.mean[None, :]
            scatter = scatter + prior.shrinkage * outer(gap, gap)
            scatter = scatter + prior.scale_matrix(d, means.dtype)[None]
            total = total + prior.dof + d + 2
        return safe_divide(scatter, total[:, None, None], old) + jnp.diag(ridge)[None]

    def n_free(self, k, d):
        """A symmetric matrix for each component."""
        return k * (d * (d + 1) // 2)

    def min_rows(self, d):
        """d + 1: that number of rows in general position has a positive definite covariance."""
        return d + 1

    def healthy(self, params, stats):
        """b[k]: as `usable`, which already compares the pivots with rounding."""
        return matrices.usable(params)
