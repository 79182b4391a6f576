"""Covariance common to all components: φ(x) = [1, x].

−½ xᵀΛx is the same for all components and leaves the softmax; its sum over rows is one inner
product with the total scatter, which no iteration changes.
"""

from typing import ClassVar

import jax.numpy as jnp

from jaxem.core.constraints import Constraint, SymmetricPD
from jaxem.core.trees import pytree
from jaxem.families.gaussian import matrices, quadratic_form
from jaxem.families.gaussian.params import linear_products, linear_rows, square_rows, unpack
from jaxem.families.gaussian.structure import Form
from jaxem.numerics import einsum, safe_divide, stack_rows


@pytree
class Tied:
    """One covariance matrix f[d, d] for all components (mclust EEE)."""

    name: ClassVar[str] = "tied"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = matrices
    constraint: ClassVar[Constraint] = SymmetricPD(shared=True)

    def features(self, x):
        """φ f[1 + d, n]."""
        return stack_rows(linear_rows(x))

    def products(self, d):
        """φ as products of the atoms [1, x]."""
        return linear_products(d)

    def coefficients(self, params):
        """β = [−½ μᵀΛμ, Λμ] f[k, 1 + d]."""
        return matrices.linear_coefficients(params)

    def common_features(self, x):
        """ψ = [1, vech(x xᵀ)] f[1 + d(d+1)/2, n]."""
        return stack_rows([linear_rows(x)[0], *square_rows(x)])

    def common_coefficients(self, params):
        """γ = [−½ (d log 2π + log|Σ|), −½ vech Λ with off-diagonals doubled]."""
        d = params.means.shape[-1]
        beta = quadratic_form.coefficients(
            jnp.zeros_like(params.means[:1]), params.covariances[None]
        )[0]
        return jnp.concatenate([beta[:1], beta[d + 1 :]])

    def blank(self, k, d, dtype):
        """Zeros f[d, d]."""
        return jnp.zeros((d, d), dtype)

    def update(self, stats, means, old, prior, ridge):
        """The pooled covariance f[d, d], or that of the posterior mode."""
        k, d = means.shape
        count, first = stats.moments[:, 0], stats.moments[:, 1:]
        cross = einsum("ki,kj->ij", means, first - 0.5 * count[:, None] * means)
        scatter = unpack(stats.common[1:], d) - cross - cross.T
        total = stats.common[0]
        if prior is not None:
            gap = means - prior.mean[None, :]
            scatter = scatter + prior.shrinkage * einsum("ki,kj->ij", gap, gap)
            scatter = scatter + prior.scale_matrix(d, means.dtype)
            total = total + prior.dof + d + 1 + k
        return safe_divide(scatter, total, old) + jnp.diag(ridge)

    def n_free(self, k, d):
        """One symmetric matrix."""
        return d * (d + 1) // 2

    def min_rows(self, d):
        """0: no component is narrower than another where all share a covariance."""
        return 0

    def healthy(self, params, stats):
        """b[k]: usable, and no variance within rounding of the second moments."""
        d = params.means.shape[1]
        second = jnp.diagonal(unpack(stats.common[1:], d)) / stats.common[0]
        floor = 8 * jnp.finfo(second.dtype).eps * second
        return matrices.usable(params) & jnp.all(jnp.diagonal(params.covariances) > floor)
