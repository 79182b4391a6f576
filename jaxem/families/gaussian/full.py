"""Full covariance: φ(x) = [1, x, vech(x xᵀ)]."""

from typing import Any, ClassVar

import jax.numpy as jnp

from jaxem.core.constraints import Constraint, Free, SymmetricPD
from jaxem.core.pytree import pytree
from jaxem.families.gaussian import matrices, quadratic_form
from jaxem.families.gaussian.params import (
    GaussianParams,
    check_settings,
    embed_plain,
    linear_products,
    linear_rows,
    no_log_base,
    outer,
    prior_density,
    show,
    square_products,
    square_rows,
    unpack,
    update_means,
)
from jaxem.families.gaussian.priors import NormalInverseWishart
from jaxem.numerics import einsum, inverse_factor, safe_divide, stack_rows


@pytree
class FullGaussian:
    """One covariance matrix f[k, d, d] per component (mclust VVV)."""

    reg_covar: Any = 0.0
    prior: NormalInverseWishart | None = None
    covariance_type: ClassVar[str] = "full"
    scale_kind: ClassVar[str] = "feature"
    residual_form: ClassVar[bool] = True

    validate = check_settings
    log_base = no_log_base
    __repr__ = show
    embed = embed_plain
    log_prior = prior_density
    standardized = matrices.standardized
    standardize = matrices.standardize
    unstandardize = matrices.unstandardize
    log_density = matrices.log_density
    condition = matrices.condition
    base_point = matrices.base_point
    sample = matrices.sample
    usable = matrices.usable
    healthy = matrices.healthy

    def constraints(self) -> dict[str, Constraint]:
        """Means are free, each covariance is a matrix."""
        return {"means": Free(), "covariances": SymmetricPD()}

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
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((k, d, d), dtype))

    def maximize(self, stats, params, frozen=()):
        """Weighted mean and covariance, or the posterior mode under the prior."""
        d = params.means.shape[-1]
        moments = stats.moments
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1 :]
        means = update_means(self, count, first, params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        cross = outer(means, first)
        scatter = unpack(second, d) - cross - cross.swapaxes(-1, -2)
        scatter = scatter + count[:, None, None] * outer(means, means)
        total = count
        if self.prior is not None:
            gap = means - self.prior.mean[None, :]
            scatter = scatter + self.prior.shrinkage * outer(gap, gap)
            scatter = scatter + self.prior.scale_matrix(d, means.dtype)[None]
            total = total + self.prior.dof + d + 2
        covariances = safe_divide(scatter, total[:, None, None], params.covariances)
        return GaussianParams(means, covariances + matrices.ridge(self, d, means.dtype)[None])

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        free = 0 if "covariances" in frozen else d * (d + 1) // 2
        return n_components * (free + (0 if "means" in frozen else d))

    def min_rows(self, d):
        """d + 1 rows in general position have a covariance, however spurious."""
        return d + 1

    def narrowness(self, params, weights):
        """tr(S Λ_k) f[k] with S the pooled covariance: large where a component is a sliver."""
        pooled = einsum("k,kij->ij", weights, params.covariances)
        w = inverse_factor(params.covariances)[0]
        return jnp.sum(einsum("kij,jl->kil", w, pooled) * w, axis=(-1, -2))
