"""Full and tied covariance: φ(x) = [1, x, vech(x xᵀ)]."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.families.gaussian.params import (
    LOG_2PI,
    GaussianParams,
    as_vector,
    like,
    outer,
    pack,
    pack_rows,
    unpack,
    update_means,
)
from jaxem.families.gaussian.priors import NormalInverseWishart
from jaxem.numerics import einsum, inverse_factor, safe_divide
from jaxem.pytree import pytree, replace


def _features(x):
    return jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T, pack_rows(x)])


def _coefficients(means, covariances):
    """β = [−d/2 log 2π − ½ log|Σ| − ½ μᵀΛμ, Λμ, −½ vech Λ with off-diagonals doubled]."""
    k, d = means.shape
    w, log_det, _ = inverse_factor(covariances)
    w = jnp.broadcast_to(w, (k, d, d))
    log_det = jnp.broadcast_to(log_det, (k,))
    z = einsum("kij,kj->ki", w, means)
    precision = einsum("kij,kil->kjl", w, w)
    constant = -0.5 * (d * LOG_2PI + log_det + jnp.sum(z * z, axis=-1))
    linear = einsum("kij,ki->kj", w, z)
    return jnp.concatenate([constant[:, None], linear, -0.5 * pack(precision, 2.0)], axis=1)


def _split(moments, d):
    return moments[:, 0], moments[:, 1 : d + 1], unpack(moments[:, d + 1 :], d)


def _scatter(family, moments, means, d):
    """Σ w r (x−μ)(x−μ)ᵀ per component f[k, d, d], plus the prior's pull on the mean."""
    count, first, second = _split(moments, d)
    cross = outer(means, first)
    scatter = second - cross - cross.swapaxes(-1, -2)
    scatter = scatter + count[:, None, None] * outer(means, means)
    if family.prior is not None:
        gap = means - family.prior.mean[None, :]
        scatter = scatter + family.prior.shrinkage * outer(gap, gap)
    return scatter


def _ridge(family, d, dtype):
    return jnp.diag(as_vector(family.reg_covar, d, dtype))


class _Shared:
    """Methods that do not depend on whether the covariance is shared."""

    scale_kind: ClassVar[str] = "feature"

    def validate(self, x: np.ndarray) -> None:
        """Any finite numbers will do."""

    def features(self, x):
        """φ f[1 + d + d(d+1)/2, n]."""
        return _features(x)

    def log_base(self, x):
        """log h = 0 f[n]."""
        return jnp.zeros(x.shape[:1], x.dtype)

    def embed(self, x):
        """Coordinates for initialisation: x itself."""
        return x

    def coefficients(self, params):
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        return _coefficients(params.means, params.covariances)

    def sample(self, key, params, labels):
        """Rows f[n, d] drawn from the components named in labels i[n]."""
        k, d = params.means.shape
        noise = jax.random.normal(key, (labels.shape[0], d), params.means.dtype)
        root = jnp.broadcast_to(jnp.linalg.cholesky(params.covariances), (k, d, d))
        return params.means[labels] + einsum("nij,nj->ni", root[labels], noise)

    def standardized(self, shift, scale):
        """The same family for z = (x − shift) / scale."""
        prior = None if self.prior is None else self.prior.standardized(shift, scale)
        return replace(self, prior=prior, reg_covar=self.reg_covar / scale**2)

    def standardize(self, params, shift, scale):
        """Parameters for z = (x − shift) / scale."""
        means = (params.means - shift[None, :]) / scale[None, :]
        square = like(outer(scale, scale), params.covariances)
        return GaussianParams(means, params.covariances / square)

    def unstandardize(self, params, shift, scale):
        """Parameters for x = shift + scale · z."""
        means = params.means * scale[None, :] + shift[None, :]
        square = like(outer(scale, scale), params.covariances)
        return GaussianParams(means, params.covariances * square)


@pytree
class FullGaussian(_Shared):
    """One covariance matrix f[k, d, d] per component (mclust VVV)."""

    reg_covar: Any = 0.0
    prior: NormalInverseWishart | None = None
    shared: ClassVar[tuple[str, ...]] = ()

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((k, d, d), dtype))

    def maximize(self, moments, params, frozen=()):
        """Weighted mean and covariance, or the posterior mode under the prior."""
        d = params.means.shape[-1]
        means = update_means(self, moments[:, 0], moments[:, 1 : d + 1], params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        scatter, total = _scatter(self, moments, means, d), moments[:, 0]
        if self.prior is not None:
            scatter = scatter + self.prior.scale_matrix(d, means.dtype)[None]
            total = total + self.prior.dof + d + 2
        covariances = safe_divide(scatter, total[:, None, None], params.covariances)
        return GaussianParams(means, covariances + _ridge(self, d, means.dtype)[None])

    def log_prior(self, params):
        """Normal-inverse-Wishart log density, summed over components."""
        if self.prior is None:
            return jnp.zeros((), params.means.dtype)
        return self.prior.log_density(params.means, params.covariances)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        free = 0 if "covariances" in frozen else d * (d + 1) // 2
        return n_components * (free + (0 if "means" in frozen else d))

    def healthy(self, params, moments):
        """True where the covariance is positive definite to rounding."""
        return inverse_factor(params.covariances)[2]


@pytree
class TiedGaussian(_Shared):
    """One covariance matrix f[d, d] for all components (mclust EEE)."""

    reg_covar: Any = 0.0
    prior: NormalInverseWishart | None = None
    shared: ClassVar[tuple[str, ...]] = ("covariances",)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((d, d), dtype))

    def maximize(self, moments, params, frozen=()):
        """Weighted means and the pooled covariance, or the posterior mode under the prior."""
        k, d = params.means.shape
        means = update_means(self, moments[:, 0], moments[:, 1 : d + 1], params, frozen)
        if "covariances" in frozen:
            return GaussianParams(means, params.covariances)
        scatter = jnp.sum(_scatter(self, moments, means, d), axis=0)
        total = jnp.sum(moments[:, 0])
        if self.prior is not None:
            scatter = scatter + self.prior.scale_matrix(d, means.dtype)
            total = total + self.prior.dof + d + 1 + k
        covariance = safe_divide(scatter, total, params.covariances)
        return GaussianParams(means, covariance + _ridge(self, d, means.dtype))

    def log_prior(self, params):
        """One inverse-Wishart for the covariance, a normal for each mean."""
        if self.prior is None:
            return jnp.zeros((), params.means.dtype)
        return self.prior.log_density(params.means, params.covariances)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        free = 0 if "covariances" in frozen else d * (d + 1) // 2
        return free + (0 if "means" in frozen else n_components * d)

    def healthy(self, params, moments):
        """All or none: the shared covariance is positive definite to rounding."""
        return jnp.broadcast_to(inverse_factor(params.covariances)[2], params.means.shape[:1])
