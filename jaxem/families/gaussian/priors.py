"""Conjugate priors of Gaussian components, after Fraley and Raftery (2007, J. Classif. 24, 155).

The MAP step is the joint mode over mean and covariance, closed form, so EM keeps ascending.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, multigammaln

from jaxem.core.trees import pytree
from jaxem.core.types import Array, Number
from jaxem.core.validation import positive, shape
from jaxem.families.gaussian.params import LOG_2PI, as_vector
from jaxem.numerics import einsum, inverse_factor


@pytree
class NormalInverseWishart:
    """Σ ~ InverseWishart(dof, scale), μ | Σ ~ Normal(mean, Σ / shrinkage).

    >>> x = datasets.load("old_faithful")
    >>> scale = np.cov(x.T) / 2 ** (2 / 2)  # Fraley and Raftery's, for two components
    >>> prior = jaxem.NormalInverseWishart(x.mean(axis=0), 0.01, dof=4, scale=scale)
    >>> jaxem.Gaussian("full", prior=prior).prior.dof
    4
    """

    mean: Array  #: f[d]
    shrinkage: Number  #: scalar > 0
    dof: Number  #: scalar > d − 1
    scale: Array  #: f[d, d]

    def validate(self, d: int) -> None:
        """ValueError, naming the field, for a prior that does not fit d columns."""
        shape("prior mean", self.mean, (d,))
        shape("prior scale", self.scale, (d, d))
        positive("prior shrinkage", self.shrinkage)
        positive(f"prior dof minus {d - 1}", np.asarray(self.dof) - (d - 1))
        if np.linalg.eigvalsh(np.asarray(self.scale, float)).min() <= 0:
            raise ValueError("prior scale must be symmetric and positive definite.")

    def scale_like(self, means: jax.Array) -> jax.Array:
        """The scale matrix f[d, d] in the dtype of means f[k, d]."""
        return jnp.asarray(self.scale, means.dtype).reshape(means.shape[1:] * 2)

    def standardized(self, shift, scale):
        """The same prior for z = (x − shift) / scale."""
        matrix = jnp.asarray(self.scale) / (scale[:, None] * scale[None, :])
        mean = (jnp.asarray(self.mean) - shift) / scale
        return NormalInverseWishart(mean, self.shrinkage, self.dof, matrix)

    def log_density(self, means, covariances):
        """Log density of means f[k, d] and covariances, own f[k, d, d] or shared f[d, d]."""
        k, d = means.shape
        dtype = means.dtype
        scale = self.scale_like(means)
        nu = jnp.asarray(self.dof, dtype)
        kappa = jnp.asarray(self.shrinkage, dtype)
        w, log_det, _ = inverse_factor(covariances)
        constant = nu / 2 * inverse_factor(scale)[1] - nu * d / 2 * jnp.log(jnp.asarray(2.0, dtype))
        constant = constant - multigammaln(nu / 2, d)
        trace = einsum("...ij,jl,...il->...", w, scale, w)
        wishart = jnp.sum(constant - (nu + d + 1) / 2 * log_det - trace / 2)
        gap = means - jnp.asarray(self.mean, dtype)[None, :]
        z = einsum("kij,kj->ki", jnp.broadcast_to(w, (k, d, d)), gap)
        square = kappa * jnp.sum(z * z, axis=-1)
        log_dets = jnp.broadcast_to(log_det, (k,))
        return wishart + jnp.sum(-0.5 * (d * (LOG_2PI - jnp.log(kappa)) + log_dets + square))


@pytree
class NormalInverseGamma:
    """σ² ~ InverseGamma(dof/2, scale/2), μ | σ² ~ Normal(mean, σ² / shrinkage).

    >>> x = datasets.load("old_faithful")
    >>> prior = jaxem.NormalInverseGamma(x.mean(axis=0), 0.01, dof=4, scale=x.var(axis=0))
    >>> jaxem.Gaussian("diag", prior=prior).prior.dof
    4
    """

    mean: Array  #: f[d]
    shrinkage: Number  #: scalar > 0
    dof: Number  #: scalar > 0
    scale: Number  #: f[d] or scalar

    def validate(self, d: int) -> None:
        """ValueError, naming the field, for a prior that does not fit d columns."""
        shape("prior mean", self.mean, (d,))
        for name in ("shrinkage", "dof", "scale"):
            positive(f"prior {name}", getattr(self, name))

    def scale_like(self, means: jax.Array) -> jax.Array:
        """The scale of each feature f[d] in the dtype of means f[k, d]."""
        return as_vector(self.scale, means.shape[1], means.dtype)

    def standardized(self, shift, scale, common: bool = False):
        """The same prior for z = (x − shift) / scale; `common`: one variance, and one scale,
        for all features."""
        own = jnp.asarray(self.scale)
        square = scale[0] ** 2 if common else scale**2
        mean = (jnp.asarray(self.mean) - shift) / scale
        return NormalInverseGamma(mean, self.shrinkage, self.dof, own / square)

    def log_density(self, means, variances):
        """Log density of means f[k, d] and variances f[k, d] or f[k]."""
        dtype = means.dtype
        scale = jnp.broadcast_to(jnp.asarray(self.scale, dtype), variances.shape[1:])
        scale = jnp.broadcast_to(scale[None], variances.shape)
        half, kappa = jnp.asarray(self.dof, dtype) / 2, jnp.asarray(self.shrinkage, dtype)
        gamma = half * jnp.log(scale / 2) - gammaln(half) - (half + 1) * jnp.log(variances)
        gamma = jnp.sum(gamma - scale / (2 * variances))
        wide = variances if variances.ndim == 2 else variances[:, None]
        gap = means - jnp.asarray(self.mean, dtype)[None, :]
        normal = LOG_2PI - jnp.log(kappa) + jnp.log(wide) + kappa * gap**2 / wide
        return gamma - 0.5 * jnp.sum(normal)


#: Either prior; which one a covariance structure takes depends on its form.
Prior = NormalInverseWishart | NormalInverseGamma
