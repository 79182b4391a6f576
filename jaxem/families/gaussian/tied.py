"""Covariance common to all components: φ(x) = [1, x].

−½ xᵀΛx is the same for all components and leaves the softmax; its sum over rows is one inner
product with the total scatter, which no iteration changes.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import Constraint, Free, SymmetricPD
from jaxem.core.pytree import pytree, replace
from jaxem.families.gaussian import matrices, quadratic_form
from jaxem.families.gaussian.params import (
    LOG_2PI,
    GaussianParams,
    check_settings,
    embed_plain,
    linear_products,
    linear_rows,
    no_log_base,
    outer,
    prior_density,
    show,
    square_rows,
    unpack,
    update_means,
)
from jaxem.families.gaussian.priors import NormalInverseWishart
from jaxem.numerics import einsum, inverse_factor, safe_divide, stack_rows


def _constraints(self: Any) -> dict[str, Constraint]:
    """Means are free, the covariance is one matrix for all components."""
    return {"means": Free(), "covariances": SymmetricPD(shared=True)}


def _features(self: Any, x: jax.Array) -> jax.Array:
    """φ f[1 + d, n]."""
    return stack_rows(linear_rows(x))


def _products(self: Any, d: int) -> tuple[tuple[int, int], ...]:
    """φ as products of the atoms [1, x]."""
    return linear_products(d)


def _coefficients(self: Any, params: GaussianParams) -> jax.Array:
    """β = [−½ μᵀΛμ, Λμ] f[k, 1 + d]."""
    w = inverse_factor(params.covariances)[0]
    z = einsum("ij,kj->ki", w, params.means)
    constant = -0.5 * jnp.sum(z * z, axis=1, keepdims=True)
    return jnp.concatenate([constant, einsum("ij,ki->kj", w, z)], axis=1)


def _usable(self: Any, params: GaussianParams) -> jax.Array:
    """b[k]: finite means, and all or none: the common covariance is positive definite."""
    finite = jnp.all(jnp.isfinite(params.means), axis=-1)
    return finite & inverse_factor(params.covariances)[2]


@pytree
class TiedGaussian:
    """One covariance matrix f[d, d] for all components (mclust EEE)."""

    reg_covar: Any = 0.0
    prior: NormalInverseWishart | None = None
    covariance_type: ClassVar[str] = "tied"
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
    constraints = _constraints
    features = _features
    products = _products
    coefficients = _coefficients
    usable = _usable

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
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((d, d), dtype))

    def maximize(self, stats, params, frozen=()):
        """Weighted means and the pooled covariance, or the posterior mode under the prior."""
        k, d = params.means.shape
        count, first = stats.moments[:, 0], stats.moments[:, 1:]
        means = update_means(self, count, first, params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        cross = einsum("ki,kj->ij", means, first - 0.5 * count[:, None] * means)
        scatter = unpack(stats.common[1:], d) - cross - cross.T
        total = stats.common[0]
        if self.prior is not None:
            gap = means - self.prior.mean[None, :]
            scatter = scatter + self.prior.shrinkage * einsum("ki,kj->ij", gap, gap)
            scatter = scatter + self.prior.scale_matrix(d, means.dtype)
            total = total + self.prior.dof + d + 1 + k
        covariance = safe_divide(scatter, total, params.covariances)
        return GaussianParams(means, covariance + matrices.ridge(self, d, means.dtype))

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        free = 0 if "covariances" in frozen else d * (d + 1) // 2
        return free + (0 if "means" in frozen else n_components * d)

    def healthy(self, params, stats):
        """b[k]: as `usable`, and no variance within rounding of the second moments."""
        d = params.means.shape[1]
        second = jnp.diagonal(unpack(stats.common[1:], d)) / stats.common[0]
        floor = 8 * jnp.finfo(second.dtype).eps * second
        return self.usable(params) & jnp.all(jnp.diagonal(params.covariances) > floor)


@pytree
class KnownGaussian:
    """Gaussian components whose common covariance f[d, d] is known: only means are estimated."""

    covariance: Any
    covariance_type: ClassVar[str] = "known"
    scale_kind: ClassVar[str] = "feature"
    residual_form: ClassVar[bool] = True
    prior: ClassVar[None] = None

    __repr__ = show
    embed = embed_plain
    log_prior = prior_density
    standardize = matrices.standardize
    unstandardize = matrices.unstandardize
    log_density = matrices.log_density
    condition = matrices.condition
    base_point = matrices.base_point
    sample = matrices.sample
    constraints = _constraints
    features = _features
    products = _products
    coefficients = _coefficients
    usable = _usable

    def validate(self, x: np.ndarray) -> None:
        """The given covariance must fit x and be positive definite."""
        given, d = np.asarray(self.covariance, float), x.shape[1]
        if given.shape != (d, d):
            raise ValueError(f"covariance must have shape ({d}, {d}); got {given.shape}.")
        if not np.allclose(given, given.T) or np.linalg.eigvalsh(given).min() <= 0:
            raise ValueError("covariance must be symmetric and positive definite.")

    def log_base(self, x):
        """−½ (d log 2π + log|Σ| + xᵀΛx) f[n]."""
        w, log_det, _ = inverse_factor(jnp.asarray(self.covariance, x.dtype))
        z = einsum("ij,nj->ni", w, x)
        return -0.5 * (x.shape[1] * LOG_2PI + log_det + jnp.sum(z * z, axis=1))

    def blank(self, k, d, dtype):
        """Parameters of the right shapes; the covariance is the given one."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.asarray(self.covariance, dtype))

    def maximize(self, stats, params, frozen=()):
        """Weighted means."""
        moments = stats.moments
        means = update_means(self, moments[:, 0], moments[:, 1:], params, frozen)
        return GaussianParams(means, jnp.asarray(self.covariance, means.dtype))

    def exact(self, params):
        """The parameters with the known covariance, which other units may have rounded."""
        return replace(params, covariances=jnp.asarray(self.covariance, params.means.dtype))

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "means" in frozen else n_components * d

    def healthy(self, params, stats):
        """b[k]: finite means."""
        return jnp.all(jnp.isfinite(params.means), axis=-1)

    def standardized(self, shift, scale):
        """The same family for z = (x − shift) / scale."""
        return replace(self, covariance=jnp.asarray(self.covariance) / outer(scale, scale))
