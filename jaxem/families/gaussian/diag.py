"""Diagonal covariance, φ(x) = [1, x, x²], and spherical, φ(x) = [1, x, |x|²]."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.families.gaussian.params import LOG_2PI, GaussianParams, as_vector, update_means
from jaxem.families.gaussian.priors import NormalInverseGamma
from jaxem.numerics import safe_divide
from jaxem.pytree import pytree, replace


def _coefficients(means, variances):
    """β = [−½ Σ_j (log 2π σ_j² + μ_j²/σ_j²), μ/σ², −½/σ²], each f[k, ·], zeros where unusable."""
    good = variances > 0
    precision = jnp.where(good, 1 / jnp.where(good, variances, 1), 0)
    log_variance = jnp.log(jnp.where(good, variances, 1))
    constant = -0.5 * jnp.sum(LOG_2PI + log_variance + means**2 * precision, axis=-1)
    return constant[:, None], means * precision, -0.5 * precision


def _squares(family, count, first, second, means):
    """Σ w r (x−μ)² f[k, d], plus the prior's pull on the mean."""
    squares = second - 2 * means * first + count[:, None] * means**2
    if family.prior is not None:
        gap = means - family.prior.mean[None, :]
        squares = squares + family.prior.shrinkage * gap**2
    return squares


class _Shared:
    def validate(self, x: np.ndarray) -> None:
        """Any finite numbers will do."""

    def log_base(self, x):
        """log h = 0 f[n]."""
        return jnp.zeros(x.shape[:1], x.dtype)

    def embed(self, x):
        """Coordinates for initialisation: x itself."""
        return x

    def log_prior(self, params):
        """Normal-inverse-gamma log density, summed over components."""
        if self.prior is None:
            return jnp.zeros((), params.means.dtype)
        return self.prior.log_density(params.means, params.covariances)

    def standardized(self, shift, scale):
        """The same family for z = (x − shift) / scale."""
        prior = None if self.prior is None else self.prior.standardized(shift, scale)
        return replace(self, prior=prior, reg_covar=self.reg_covar / scale**2)

    def sample(self, key, params, labels):
        """Rows f[n, d] drawn from the components named in labels i[n]."""
        d = params.means.shape[-1]
        noise = jax.random.normal(key, (labels.shape[0], d), params.means.dtype)
        sd = jnp.sqrt(params.covariances)[labels]
        return params.means[labels] + (sd if sd.ndim == 2 else sd[:, None]) * noise


@pytree
class DiagGaussian(_Shared):
    """Independent features, variances f[k, d] (mclust VVI)."""

    reg_covar: Any = 0.0
    prior: NormalInverseGamma | None = None
    shared: ClassVar[tuple[str, ...]] = ()
    scale_kind: ClassVar[str] = "feature"

    def features(self, x):
        """φ f[1 + 2d, n]."""
        return jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T, x.T**2])

    def coefficients(self, params):
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        return jnp.concatenate(_coefficients(params.means, params.covariances), axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((k, d), dtype))

    def maximize(self, moments, params, frozen=()):
        """Weighted mean and variances, or the posterior mode under the prior."""
        d = params.means.shape[-1]
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1 :]
        means = update_means(self, count, first, params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        squares, total = _squares(self, count, first, second, means), count
        if self.prior is not None:
            squares = squares + as_vector(self.prior.scale, d, means.dtype)[None, :]
            total = total + self.prior.dof + 3
        variances = safe_divide(squares, total[:, None], params.covariances)
        return GaussianParams(means, variances + as_vector(self.reg_covar, d, means.dtype)[None])

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return n_components * d * (2 - len({"means", "covariances"} & set(frozen)))

    def healthy(self, params, moments):
        """True where every variance is above rounding of the second moments."""
        d = params.means.shape[-1]
        second = safe_divide(moments[:, d + 1 :], moments[:, :1], params.covariances)
        return jnp.all(_above_rounding(params.covariances, second), axis=-1)

    def standardize(self, params, shift, scale):
        """Parameters for z = (x − shift) / scale."""
        return GaussianParams(
            (params.means - shift[None, :]) / scale[None, :],
            params.covariances / scale[None, :] ** 2,
        )

    def unstandardize(self, params, shift, scale):
        """Parameters for x = shift + scale · z."""
        return GaussianParams(
            params.means * scale[None, :] + shift[None, :], params.covariances * scale[None, :] ** 2
        )


@pytree
class SphericalGaussian(_Shared):
    """One variance per component, f[k] (mclust VII)."""

    reg_covar: Any = 0.0
    prior: NormalInverseGamma | None = None
    shared: ClassVar[tuple[str, ...]] = ()
    scale_kind: ClassVar[str] = "scalar"

    def features(self, x):
        """φ f[2 + d, n]."""
        square = jnp.sum(x.T**2, axis=0, keepdims=True)
        return jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T, square])

    def coefficients(self, params):
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        wide = jnp.broadcast_to(params.covariances[:, None], params.means.shape)
        constant, linear, square = _coefficients(params.means, wide)
        return jnp.concatenate([constant, linear, square[:, :1]], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((k,), dtype))

    def maximize(self, moments, params, frozen=()):
        """Weighted mean and mean variance, or the posterior mode under the prior."""
        d = params.means.shape[-1]
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1 :]
        means = update_means(self, count, first, params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        cross = jnp.sum(means * (count[:, None] * means - 2 * first), axis=-1)
        square, total = second[:, 0] + cross, d * count
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

    def healthy(self, params, moments):
        """True where the variance is above rounding of the second moments."""
        d = params.means.shape[-1]
        second = safe_divide(moments[:, d + 1], moments[:, 0], params.covariances)
        return _above_rounding(params.covariances, second)

    def standardize(self, params, shift, scale):
        """Parameters for z = (x − shift) / scale, one scale for all features."""
        return GaussianParams(
            (params.means - shift[None, :]) / scale[None, :], params.covariances / scale[0] ** 2
        )

    def unstandardize(self, params, shift, scale):
        """Parameters for x = shift + scale · z, one scale for all features."""
        return GaussianParams(
            params.means * scale[None, :] + shift[None, :], params.covariances * scale[0] ** 2
        )


def _above_rounding(variance: jax.Array, second: jax.Array) -> jax.Array:
    return variance > 8 * jnp.finfo(variance.dtype).eps * second
