"""The Gaussian family: this file handles the means, a covariance structure the covariances."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered
from jaxem.core.constraints import Constraint, Free
from jaxem.core.protocols import CommonFeatures
from jaxem.core.repr import constructor, short
from jaxem.core.trees import pytree, replace
from jaxem.core.types import Number
from jaxem.core.validation import positive
from jaxem.families.gaussian.full import Full
from jaxem.families.gaussian.params import GaussianParams, as_vector, update_means
from jaxem.families.gaussian.priors import NormalInverseGamma, NormalInverseWishart
from jaxem.families.gaussian.structure import Covariance, GivenCovariance


@pytree
class GaussianFamily:
    """Gaussian components; `covariance` is one of `Full`, `Tied`, `Diagonal`, `Spherical`, `Known`.
    Made by `jaxem.Gaussian`."""

    covariance: Covariance = Full()
    reg_covar: Number = 0.0
    prior: NormalInverseWishart | NormalInverseGamma | None = None
    residual_form: ClassVar[bool] = True

    def __repr__(self) -> str:
        first, held = [repr(self.covariance_type)], offered(self.covariance, GivenCovariance)
        if held is not None:
            first.append(f"covariance={short(held.matrix)}")
        return constructor(self, "Gaussian", first, hidden=("covariance",))

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
        held = offered(self.covariance, GivenCovariance)
        if held is not None:
            held.check(x.shape[1])
        positive("reg_covar", self.reg_covar, zero=True)
        if self.prior is not None:
            self.prior.validate(x.shape[1])

    def standardized(self, shift, scale):
        """The same family for z = (x − shift) / scale."""
        held, prior, covariance = offered(self.covariance, GivenCovariance), None, self.covariance
        if held is not None:
            covariance = held.standardized(scale)
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
        held = offered(self.covariance, GivenCovariance)
        if held is None:
            return params
        return replace(params, covariances=held.exact(params.means.dtype))

    def features(self, x):
        """φ f[p, n]."""
        return self.covariance.features(x)

    def products(self, d):
        """φ as products of the atoms [1, x]; empty where it is not."""
        return self.covariance.products(d)

    def log_base(self, x):
        """log h f[n]: 0, except for a known covariance."""
        held = offered(self.covariance, GivenCovariance)
        return jnp.zeros(x.shape[:1], x.dtype) if held is None else held.log_base(x)

    def embed(self, x):
        """Coordinates for initialisation: x itself."""
        return x

    def coefficients(self, params: GaussianParams):
        """β f[k, p] with log p(x|k) = β_k · φ(x) + γ · ψ(x) + log h(x)."""
        return self.covariance.coefficients(params)

    def common_features(self, x):
        """ψ f[c, n]; f[0, n] except for a tied covariance."""
        tied = offered(self.covariance, CommonFeatures)
        return x.T[:0] if tied is None else tied.common_features(x)

    def common_coefficients(self, params: GaussianParams):
        """γ f[c]."""
        tied = offered(self.covariance, CommonFeatures)
        if tied is None:
            return jnp.zeros((0,), params.means.dtype)
        return tied.common_coefficients(params)

    def blank(self, k, d, dtype):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        return GaussianParams(jnp.zeros((k, d), dtype), self.covariance.blank(k, d, dtype))

    def maximize(self, stats, params: GaussianParams, frozen=()):
        """Weighted means and covariances, or the posterior mode under the prior."""
        d = params.means.shape[-1]
        count, first = stats.moments[:, 0], stats.moments[:, 1 : d + 1]
        means = update_means(self.prior, count, first, params.means, frozen)
        given = offered(self.covariance, GivenCovariance) is not None
        if "covariances" in frozen and not given:
            return GaussianParams(means, params.covariances)
        ridge = as_vector(self.reg_covar, d, means.dtype)
        updated = self.covariance.update(stats, means, params.covariances, self.prior, ridge)
        return GaussianParams(means, updated)

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
        return self.covariance.healthy(params, stats)

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
