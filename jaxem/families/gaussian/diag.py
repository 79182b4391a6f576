"""Diagonal covariance, φ(x) = [1, x, x²], and spherical, φ(x) = [1, x, |x|²]."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxem.core.constraints import Constraint, Free, Positive
from jaxem.core.pytree import pytree, replace
from jaxem.families.gaussian.params import (
    LOG_2PI,
    GaussianParams,
    as_vector,
    check_settings,
    embed_plain,
    linear_products,
    linear_rows,
    mean_if_far,
    no_log_base,
    prior_density,
    show,
    update_means,
)
from jaxem.families.gaussian.priors import NormalInverseGamma
from jaxem.numerics import einsum, safe_divide, stack_rows


def _wide(params: GaussianParams) -> jax.Array:
    """Variances f[k, d], whatever the type."""
    variances = params.covariances
    if variances.ndim == 2:
        return variances
    return jnp.broadcast_to(variances[:, None], params.means.shape)


def _constraints(self: Any) -> dict[str, Constraint]:
    """Means are free, variances positive."""
    return {"means": Free(), "covariances": Positive()}


def _precisions(params: GaussianParams) -> tuple[jax.Array, jax.Array]:
    """1/σ² f[k, d] and Σ log 2πσ² f[k]; zeros where a variance is unusable."""
    variances = _wide(params)
    good = variances > 0
    safe = jnp.where(good, variances, 1)
    return jnp.where(good, 1 / safe, 0), jnp.sum(LOG_2PI + jnp.log(safe), axis=-1)


def _coefficients(params: GaussianParams) -> tuple[jax.Array, jax.Array, jax.Array]:
    """β = [−½ Σ_j (log 2π σ_j² + μ_j²/σ_j²), μ/σ², −½/σ²], each f[k, ·]."""
    precision, log_det = _precisions(params)
    constant = -0.5 * (log_det + jnp.sum(params.means**2 * precision, axis=-1))
    return constant[:, None], params.means * precision, -0.5 * precision


def _base_point(self: Any, params: GaussianParams, weights: jax.Array) -> jax.Array:
    """Where sums over rows lose no digits f[d]: see `mean_if_far`."""
    return mean_if_far(params.means, _wide(params), weights)


def _log_density(self: Any, params: GaussianParams, x: jax.Array) -> jax.Array:
    """log N(x; μ_k, σ²_k) f[n, k] from residuals: nothing large cancels."""
    precision, log_det = _precisions(params)

    def add(square, column):
        own, mean, one = column
        return square + (own[None, :] - mean[:, None]) ** 2 * one[:, None], None

    start = jnp.zeros((len(precision), x.shape[0]), x.dtype)
    square = jax.lax.scan(add, start, (x.T, params.means.T, precision.T))[0]
    return -0.5 * (log_det[:, None] + square).T


def _condition(self: Any, params: GaussianParams) -> jax.Array:
    """Σ_j μ_j²/σ_j² f[k]: the size of what cancels in the quadratic form."""
    return jnp.sum(params.means**2 * _precisions(params)[0], axis=-1)


def _standardized(self: Any, shift, scale):
    """The same family for z = (x − shift) / scale."""
    common = self.covariance_type == "spherical"
    prior = None if self.prior is None else self.prior.standardized(shift, scale, common)
    return replace(self, prior=prior, reg_covar=self.reg_covar / scale**2)


def _standardize(self: Any, params: GaussianParams, shift, scale):
    """Parameters for z = (x − shift) / scale; one scale for all features when spherical."""
    square = scale[None, :] ** 2 if params.covariances.ndim == 2 else scale[:1] ** 2
    means = (params.means - shift[None, :]) / scale[None, :]
    return GaussianParams(means, params.covariances / square)


def _unstandardize(self: Any, params: GaussianParams, shift, scale):
    """Parameters for x = shift + scale · z; one scale for all features when spherical."""
    square = scale[None, :] ** 2 if params.covariances.ndim == 2 else scale[:1] ** 2
    means = params.means * scale[None, :] + shift[None, :]
    return GaussianParams(means, params.covariances * square)


def _sample(self: Any, key, params: GaussianParams, labels):
    """Rows f[n, d] drawn from the components named in labels i[n]."""
    d = params.means.shape[-1]
    noise = jax.random.normal(key, (labels.shape[0], d), params.means.dtype)
    return params.means[labels] + jnp.sqrt(_wide(params))[labels] * noise


def _usable(self: Any, params: GaussianParams) -> jax.Array:
    """b[k]: finite means and positive variances."""
    return jnp.all(jnp.isfinite(params.means) & (_wide(params) > 0), axis=-1)


def _min_rows(self: Any, d: int) -> int:
    """Two different rows have a variance in every feature, however spurious."""
    return 2


def _narrowness(self: Any, params: GaussianParams, weights: jax.Array) -> jax.Array:
    """max_j s_j / σ²_kj f[k] with s the pooled variances: large where a component is a sliver."""
    pooled = einsum("k,kj->j", weights, _wide(params))
    return jnp.max(pooled[None, :] * _precisions(params)[0], axis=-1)


def _above_rounding(variance: jax.Array, second: jax.Array) -> jax.Array:
    return variance > 8 * jnp.finfo(variance.dtype).eps * second


@pytree
class DiagGaussian:
    """Independent features, variances f[k, d] (mclust VVI)."""

    reg_covar: Any = 0.0
    prior: NormalInverseGamma | None = None
    covariance_type: ClassVar[str] = "diag"
    scale_kind: ClassVar[str] = "feature"
    residual_form: ClassVar[bool] = True

    constraints = _constraints
    validate = check_settings
    log_base = no_log_base
    __repr__ = show
    embed = embed_plain
    log_prior = prior_density
    log_density = _log_density
    condition = _condition
    base_point = _base_point
    standardized = _standardized
    standardize = _standardize
    unstandardize = _unstandardize
    sample = _sample
    usable = _usable
    min_rows = _min_rows
    narrowness = _narrowness

    def features(self, x):
        """φ f[1 + 2d, n]."""
        return stack_rows([*linear_rows(x), x.T**2])

    def products(self, d):
        """φ as products of the atoms [1, x]."""
        return (*linear_products(d), *((i, i) for i in range(1, d + 1)))

    def coefficients(self, params):
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        return jnp.concatenate(_coefficients(params), axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((k, d), dtype))

    def maximize(self, stats, params, frozen=()):
        """Weighted mean and variances, or the posterior mode under the prior."""
        d = params.means.shape[-1]
        moments = stats.moments
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1 :]
        means = update_means(self, count, first, params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        squares = second - 2 * means * first + count[:, None] * means**2
        total = count
        if self.prior is not None:
            gap = means - self.prior.mean[None, :]
            scale = as_vector(self.prior.scale, d, means.dtype)
            squares = squares + self.prior.shrinkage * gap**2 + scale[None, :]
            total = total + self.prior.dof + 3
        variances = safe_divide(squares, total[:, None], params.covariances)
        return GaussianParams(means, variances + as_vector(self.reg_covar, d, means.dtype)[None])

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return n_components * d * (2 - len({"means", "covariances"} & set(frozen)))

    def healthy(self, params, stats):
        """b[k]: every variance is above rounding of the second moments."""
        d = params.means.shape[-1]
        moments = stats.moments
        second = safe_divide(moments[:, d + 1 :], moments[:, :1], params.covariances)
        above = jnp.all(_above_rounding(params.covariances, second), axis=-1)
        return self.usable(params) & above


@pytree
class SphericalGaussian:
    """One variance per component, f[k] (mclust VII)."""

    reg_covar: Any = 0.0
    prior: NormalInverseGamma | None = None
    covariance_type: ClassVar[str] = "spherical"
    scale_kind: ClassVar[str] = "scalar"
    residual_form: ClassVar[bool] = True

    constraints = _constraints
    validate = check_settings
    log_base = no_log_base
    __repr__ = show
    embed = embed_plain
    log_prior = prior_density
    log_density = _log_density
    condition = _condition
    base_point = _base_point
    standardized = _standardized
    standardize = _standardize
    unstandardize = _unstandardize
    sample = _sample
    usable = _usable
    min_rows = _min_rows
    narrowness = _narrowness

    def features(self, x):
        """φ f[2 + d, n]."""
        return stack_rows([*linear_rows(x), jnp.sum(x.T**2, axis=0, keepdims=True)])

    def coefficients(self, params):
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        constant, linear, square = _coefficients(params)
        return jnp.concatenate([constant, linear, square[:, :1]], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((k,), dtype))

    def maximize(self, stats, params, frozen=()):
        """Weighted mean and mean variance, or the posterior mode under the prior."""
        d = params.means.shape[-1]
        moments = stats.moments
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1]
        means = update_means(self, count, first, params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        square = second + jnp.sum(means * (count[:, None] * means - 2 * first), axis=-1)
        total = d * count
        if self.prior is not None:
            gap = means - self.prior.mean[None, :]
            square = square + self.prior.shrinkage * jnp.sum(gap**2, axis=-1) + self.prior.scale
            total = total + self.prior.dof + d + 2
        variances = safe_divide(square, total, params.covariances)
        return GaussianParams(means, variances + as_vector(self.reg_covar, d, means.dtype)[:1])

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        free = 0 if "covariances" in frozen else 1
        return n_components * (free + (0 if "means" in frozen else d))

    def healthy(self, params, stats):
        """b[k]: the variance is above rounding of the second moments."""
        d = params.means.shape[-1]
        second = safe_divide(stats.moments[:, d + 1], stats.moments[:, 0], params.covariances)
        return self.usable(params) & _above_rounding(params.covariances, second)
