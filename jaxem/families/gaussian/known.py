"""A covariance that is given and shared: only the means are estimated, φ(x) = [1, x]."""

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxem.families.gaussian.full import _Shared
from jaxem.families.gaussian.params import LOG_2PI, GaussianParams, outer, update_means
from jaxem.numerics import einsum, inverse_factor
from jaxem.pytree import pytree, replace


@pytree
class KnownGaussian(_Shared):
    """Gaussian components whose common covariance f[d, d] is known.

    −½ xᵀΛx is the same for all components, so it is part of log h(x) and leaves the softmax.
    """

    covariance: Any
    shared: ClassVar[tuple[str, ...]] = ("covariances",)
    prior: ClassVar[None] = None

    def validate(self, x: np.ndarray) -> None:
        """The given covariance must fit x and be positive definite."""
        given, d = np.asarray(self.covariance, float), x.shape[1]
        if given.shape != (d, d):
            raise ValueError(f"covariance must have shape ({d}, {d}); got {given.shape}.")
        if not np.allclose(given, given.T) or np.linalg.eigvalsh(given).min() <= 0:
            raise ValueError("covariance must be symmetric and positive definite.")

    def features(self, x):
        """φ f[1 + d, n]."""
        return jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T])

    def log_base(self, x):
        """−½ (d log 2π + log|Σ| + xᵀΛx) f[n]."""
        w, log_det, _ = inverse_factor(jnp.asarray(self.covariance, x.dtype))
        z = einsum("ij,nj->ni", w, x)
        return -0.5 * (x.shape[1] * LOG_2PI + log_det + jnp.sum(z * z, axis=1))

    def coefficients(self, params):
        """β = [−½ μᵀΛμ, Λμ] f[k, 1 + d]."""
        w = inverse_factor(jnp.asarray(self.covariance, params.means.dtype))[0]
        z = einsum("ij,kj->ki", w, params.means)
        constant = -0.5 * jnp.sum(z * z, axis=1, keepdims=True)
        return jnp.concatenate([constant, einsum("ij,ki->kj", w, z)], axis=1)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), jnp.zeros((d, d), dtype))

    def maximize(self, moments, params, frozen=()):
        """Weighted means."""
        means = update_means(self, moments[:, 0], moments[:, 1:], params, frozen)
        return GaussianParams(means, jnp.asarray(self.covariance, means.dtype))

    def log_prior(self, params):
        """No prior."""
        return jnp.zeros((), params.means.dtype)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "means" in frozen else n_components * d

    def healthy(self, params, moments):
        """Finite means."""
        return jnp.all(jnp.isfinite(params.means), axis=-1)

    def standardized(self, shift, scale):
        """The same family for z = (x − shift) / scale."""
        return replace(self, covariance=jnp.asarray(self.covariance) / outer(scale, scale))
