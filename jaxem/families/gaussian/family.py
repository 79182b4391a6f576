"""The Gaussian family: this file handles the means, a covariance structure the covariances."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered
from jaxem.core.constraints import Constraint, Free
from jaxem.core.protocols import CommonFeatures, Statistics
from jaxem.core.repr import constructor, short
from jaxem.core.trees import pytree, replace
from jaxem.core.types import Number
from jaxem.core.validation import positive
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.moments import Sums
from jaxem.families.gaussian.params import LOG_2PI, GaussianParams, as_vector
from jaxem.families.gaussian.priors import NormalInverseGamma, NormalInverseWishart
from jaxem.families.gaussian.structure import Covariance, GivenCovariance
from jaxem.numerics import einsum, inverse_factor, safe_divide


@pytree
class GaussianFamily:
    """Gaussian components; `covariance` is one of `Full`, `Tied`, `Diagonal`, `Spherical`, `Known`.
    Made by `jaxem.Gaussian`."""

    covariance: Covariance = Full()
    reg_covar: Number = 0.0
    prior: NormalInverseWishart | NormalInverseGamma | None = None
    residual_form: ClassVar[bool] = True

    def __repr__(self) -> str:
        first = [repr(self.covariance_type)]
        if self._given is not None:
            first.append(f"covariance={short(self._given.matrix)}")
        return constructor(self, "Gaussian", first, hidden=("covariance",))

    @property
    def _given(self) -> GivenCovariance | None:
        return offered(self.covariance, GivenCovariance)

    @property
    def _common(self) -> CommonFeatures | None:
        """Features whose coefficients all components share; None also where these are given."""
        return offered(self.covariance.moments, CommonFeatures) if self._given is None else None

    @property
    def covariance_type(self) -> str:
        """full, tied, diag, spherical or known."""
        return self.covariance.name

    @property
    def scale_kind(self) -> str:
        """The change of units: "scalar" where the columns share a variance, otherwise "feature"."""
        return self.covariance.scale_kind

    def constraints(self) -> dict[str, Constraint]:
        """Means are free, covariances as their structure says."""
        return {"means": Free(), "covariances": self.covariance.constraint}

    def validate(self, x: np.ndarray) -> None:
        """ValueError for settings that do not fit x f[n, d]; x may hold any finite numbers."""
        if self._given is not None:
            self._given.check(x.shape[1])
        positive("reg_covar", self.reg_covar, zero=True)
        if self.prior is not None:
            self.prior.validate(x.shape[1])

    def standardized(self, shift, scale):
        """The same family for z = (x − shift) / scale."""
        covariance, prior = self.covariance, None
        if self._given is not None:
            matrix = jnp.asarray(self._given.matrix)
            square = self.covariance.form.squared_scale(matrix, scale)
            covariance = self._given.holding(matrix / square)
        if self.prior is not None:
            common = {"common": True} if self.scale_kind == "scalar" else {}
            prior = self.prior.standardized(shift, scale, **common)
        ridge = self.reg_covar / scale**2
        return replace(self, covariance=covariance, reg_covar=ridge, prior=prior)

    def standardize(self, params: GaussianParams, shift, scale):
        """Parameters for z = (x − shift) / scale."""
        square = self.covariance.form.squared_scale(params.covariances, scale)
        means = (params.means - shift[None, :]) / scale[None, :]
        return GaussianParams(means, params.covariances / square)

    def unstandardize(self, params: GaussianParams, shift, scale):
        """Parameters for x = shift + scale · z."""
        square = self.covariance.form.squared_scale(params.covariances, scale)
        means = params.means * scale[None, :] + shift[None, :]
        return GaussianParams(means, params.covariances * square)

    def exact(self, params: GaussianParams):
        """The parameters, with a known covariance exactly as given."""
        if self._given is None:
            return params
        return replace(params, covariances=jnp.asarray(self._given.matrix, params.means.dtype))

    def features(self, x):
        """φ f[p, n]."""
        return self.covariance.moments.features(x)

    def products(self, d):
        """φ as products of the atoms [1, x]; empty where it is not."""
        return self.covariance.moments.products(d)

    def log_base(self, x):
        """log h f[n]: 0, and of a given covariance −½ (d log 2π + log|Σ| + xᵀΛx)."""
        if self._given is None:
            return jnp.zeros(x.shape[:1], x.dtype)
        w, log_det, _ = inverse_factor(jnp.asarray(self._given.matrix, x.dtype))
        z = einsum("ij,nj->ni", w, x)
        return -0.5 * (x.shape[1] * LOG_2PI + log_det + jnp.sum(z * z, axis=1))

    def embed(self, x):
        """Coordinates for initialisation: x itself."""
        return x

    def coefficients(self, params: GaussianParams):
        """β f[k, p] with log p(x|k) = β_k · φ(x) + γ · ψ(x) + log h(x)."""
        return self.covariance.moments.coefficients(params)

    def common_features(self, x):
        """ψ f[c, n]; f[0, n] except for a tied covariance."""
        return x.T[:0] if self._common is None else self._common.common_features(x)

    def common_coefficients(self, params: GaussianParams):
        """γ f[c]."""
        if self._common is None:
            return jnp.zeros((0,), params.means.dtype)
        return self._common.common_coefficients(params)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        blank = jnp.zeros((k, d), dtype), jnp.zeros(self.covariance.shape(k, d), dtype)
        return self.exact(GaussianParams(*blank))

    def maximize(self, stats, params: GaussianParams, frozen=()):
        """Weighted means and covariances, or the posterior mode under the prior."""
        means = self._means(stats, params.means) if "means" not in frozen else params.means
        if "covariances" in frozen and self._given is None:
            return GaussianParams(means, params.covariances)
        ridge = as_vector(self.reg_covar, means.shape[-1], means.dtype)
        sums = Sums(stats, means, self.prior)
        updated = self.covariance.update(sums, params.covariances)
        if self._given is None:
            more = self.covariance.form.ridge(updated, ridge)
            if self.prior is None and not self.covariance.constraint.shared:
                # A component without rows keeps its covariance: it would grow at each step.
                there = stats.moments[:, 0] > 0
                more = jnp.where(there.reshape(-1, *[1] * (updated.ndim - 1)), more, 0)
            updated = updated + more
        return GaussianParams(means, updated)

    def _means(self, stats: Statistics, old: jax.Array) -> jax.Array:
        """Weighted means f[k, d], pulled to the prior's mean by its shrinkage."""
        count, total = stats.moments[:, 0], stats.moments[:, 1 : old.shape[-1] + 1]
        if self.prior is not None:
            total = total + (self.prior.shrinkage * self.prior.mean)[None, :]
            count = count + self.prior.shrinkage
        return safe_divide(total, count[:, None], old)

    def log_prior(self, params: GaussianParams) -> jax.Array:
        """Log prior density f[] of means and covariances, 0 without a prior."""
        if self.prior is None:
            return jnp.zeros((), params.means.dtype)
        return self.prior.log_density(params.means, params.covariances)

    def sample(self, key, params: GaussianParams, labels):
        """Rows f[n, d] drawn from the components named in labels i[n]."""
        d = params.means.shape[-1]
        noise = jax.random.normal(key, (labels.shape[0], d), params.means.dtype)
        return params.means[labels] + self.covariance.form.coloured(params, labels, noise)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        means = 0 if "means" in frozen else n_components * d
        own = 0 if "covariances" in frozen else self.covariance.n_free(n_components, d)
        return means + own

    def usable(self, params: GaussianParams):
        """b[k]: finite means and positive definite covariances."""
        return self.covariance.form.usable(params)

    def healthy(self, params: GaussianParams, stats):
        """b[k]: usable, and above rounding of the second moments."""
        if self._given is not None:
            return jnp.all(jnp.isfinite(params.means), axis=-1)
        return self.covariance.moments.healthy(params, stats)

    def log_density(self, params: GaussianParams, x):
        """log N(x; μ_k, Σ_k) f[n, k] from residuals."""
        return self.covariance.form.log_density(params, x)

    def condition(self, params: GaussianParams):
        """The size of the terms that cancel in the quadratic form f[k]."""
        return self.covariance.form.condition(params)

    def base_point(self, params: GaussianParams, weights):
        """The point f[d] about which sums over rows lose no digits."""
        return self.covariance.form.base_point(params, weights)

    def min_rows(self, d):
        """Number of rows that a component can always fit; 0 where the covariance is shared."""
        return self.covariance.min_rows(d)

    def narrowness(self, params: GaussianParams, weights):
        """f[k], large where a component is much narrower than the pooled components."""
        return self.covariance.form.narrowness(params, weights)

    def matrices(self, params: GaussianParams) -> jax.Array:
        """The covariance matrix of every component f[k, d, d]."""
        return self.covariance.form.expanded(params)


def as_gaussian(family: object) -> GaussianFamily:
    """The family as a Gaussian one; ValueError where it is another."""
    if not isinstance(family, GaussianFamily):
        raise ValueError(f"needs Gaussian components; got {type(family).__name__}.")
    return family
