"""Mixtures handed to other libraries and taken back: scikit-learn, NumPyro, TensorFlow Probability.

The libraries are imported only where one is spoken to. Densities stay the same, to rounding: of
float64 where the parameters are, for NumPyro and TFP also only with `jax_enable_x64`.

A guest: may import any room; this file has all of it.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem.core.protocols import Family
from jaxem.core.types import Params
from jaxem.families.gaussian import GaussianFamily, variances
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

_TFP = "tensorflow_probability.substrates.jax.distributions"


def from_sklearn(estimator: object) -> tuple[Mixture, MixtureParams]:
    """(model, params) of a fitted `sklearn.mixture.GaussianMixture` or any estimator of
    `jaxem.sklearn`, as NumPy arrays in float64. Raises TypeError for other estimators (a
    `BayesianGaussianMixture` has no such density) and NotFittedError for unfitted ones.
    """
    from sklearn.mixture import GaussianMixture
    from sklearn.utils.validation import check_is_fitted

    from jaxem.sklearn import MixtureSelector
    from jaxem.sklearn.mixtures import FamilyMixture
    from jaxem.sklearn.starts import params_of

    if isinstance(estimator, MixtureSelector):
        check_is_fitted(estimator)
        return from_sklearn(estimator.best_estimator_)
    if isinstance(estimator, FamilyMixture):
        check_is_fitted(estimator)
        params = jax.tree.map(lambda leaf: np.asarray(leaf, float), estimator._params)
        return estimator._model, params
    if not isinstance(estimator, GaussianMixture):
        raise TypeError(
            "from_sklearn takes a fitted GaussianMixture or an estimator of jaxem.sklearn; got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    family = jaxem.Gaussian(estimator.covariance_type, reg_covar=estimator.reg_covar)
    params = params_of(estimator)
    return Mixture(family, n_components=len(params.weights)), params


def to_sklearn(model: Mixture, params: MixtureParams | Fit) -> "GaussianMixture":
    """A fitted `sklearn.mixture.GaussianMixture` with these parameters (of one fit, or that fit),
    ready to predict, score and sample; a known covariance becomes a tied one.

    Raises ValueError for other families, for a covariance that is singular, and for parameters of
    several fits.
    """
    from sklearn.mixture import GaussianMixture
    from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

    family, own = _gaussian(model, "to_sklearn"), _one(params)
    fit = params if isinstance(params, Fit) else None
    kind = "tied" if family.covariance_type == "known" else family.covariance_type
    weights, means, covariances = map(np.asarray, (own.weights, own.means, own.covariances))
    estimator = GaussianMixture(
        len(weights), covariance_type=kind, reg_covar=float(family.reg_covar)
    )
    upper = _compute_precision_cholesky(covariances, kind)
    estimator._set_parameters((weights, means, covariances, upper))
    vars(estimator).update(
        n_features_in_=means.shape[1],
        converged_=fit is None or bool(fit.converged),
        n_iter_=0 if fit is None else int(fit.n_iter),
        # A warm start takes this for the bound of the last iteration: there was none.
        lower_bound_=-np.inf,
        lower_bounds_=[],
    )
    return estimator


def to_numpyro(model: Mixture, params: MixtureParams | Fit) -> Any:
    """A `numpyro.distributions.MixtureSameFamily` with the same log_prob, of Gaussian, Poisson,
    exponential or Bernoulli components.

    Raises ImportError without NumPyro, ValueError for other families (NumPyro mixes none whose
    support depends on parameters) and for parameters of several fits.
    """
    dist, own = _module("numpyro.distributions", "numpyro"), _one(params)
    components = _components(model.family, own, dist)
    return dist.MixtureSameFamily(dist.Categorical(probs=jnp.asarray(own.weights)), components)


def _components(family: Family, own: MixtureParams, dist: ModuleType) -> object:
    """The components as one batched NumPyro distribution: batch (k,), event (d,)."""
    if isinstance(family, GaussianFamily):
        means, root = _means_and_root(family, own)
        if family.covariance.form is variances:
            return dist.Normal(means, root).to_event(1)
        return dist.MultivariateNormal(means, scale_tril=root)
    if isinstance(family, jaxem.Poisson):
        return dist.Poisson(jnp.asarray(own.rates)).to_event(1)
    if isinstance(family, jaxem.Exponential):
        return dist.Exponential(jnp.asarray(own.rates)).to_event(1)
    if isinstance(family, jaxem.Binomial) and int(family.n_trials) == 1:
        return dist.Bernoulli(probs=jnp.asarray(own.probabilities)).to_event(1)
    raise ValueError(
        f"to_numpyro cannot convert components of {type(family).__name__}: NumPyro mixes only "
        "distributions whose support does not depend on their parameters, which leaves Gaussians, "
        "Poisson, exponential and Bernoulli components."
    )


def from_numpyro(mixture: Any) -> tuple[Mixture, MixtureParams]:
    """(model, params) of a NumPyro `MixtureSameFamily` without batch axes, of components that this
    package has: MultivariateNormal (full), and Normal, Poisson, Exponential or Bernoulli with
    `.to_event(1)`. Raises ValueError for any other.
    """
    dist = _module("numpyro.distributions", "numpyro")
    if not isinstance(mixture, dist.MixtureSameFamily) or mixture.batch_shape:
        raise ValueError(f"from_numpyro takes one MixtureSameFamily, unbatched; got {mixture}.")
    weights, inner = mixture.mixing_distribution.probs, mixture.component_distribution
    if isinstance(inner, dist.MultivariateNormal):
        own = jaxem.GaussianParams(inner.mean, inner.covariance_matrix)
        return Mixture(jaxem.Gaussian("full"), weights.size), MixtureParams(weights, own)
    if not isinstance(inner, dist.Independent) or len(inner.event_shape) != 1:
        raise ValueError(f"from_numpyro knows no family for components {inner}; see its docstring.")
    family, own = _family(inner.base_dist, inner.batch_shape + inner.event_shape, dist)
    return Mixture(family, weights.size), MixtureParams(weights, own)


def _family(base: Any, shape: tuple[int, ...], dist: ModuleType) -> tuple[Family, Params]:
    """Family and parameters of independent features of this distribution, f[k, d]."""
    discrete = _module("numpyro.distributions.discrete", "numpyro")

    def wide(value: jax.Array) -> jax.Array:
        return jnp.broadcast_to(value, shape)

    if isinstance(base, dist.Normal):
        own = jaxem.GaussianParams(wide(base.loc), wide(base.scale) ** 2)
        return jaxem.Gaussian("diag"), own
    if isinstance(base, dist.Poisson):
        return jaxem.Poisson(), jaxem.PoissonParams(wide(base.rate))
    if isinstance(base, dist.Exponential):
        return jaxem.Exponential(), jaxem.ExponentialParams(wide(base.rate))
    if isinstance(base, discrete.BernoulliProbs | discrete.BernoulliLogits):
        return jaxem.Bernoulli(), jaxem.BinomialParams(wide(base.probs))
    raise ValueError(f"from_numpyro knows no family for components {base}; see its docstring.")


def to_tfp(model: Mixture, params: MixtureParams | Fit) -> Any:
    """A Gaussian mixture as `MixtureSameFamily` of TensorFlow Probability on JAX, with the same
    log_prob. Raises ImportError without a TFP that goes with this JAX (of the day, `tfp-nightly`,
    where the last release is too old), ValueError for other families and several fits.
    """
    tfd = _module(_TFP, "tensorflow-probability")
    family, own = _gaussian(model, "to_tfp"), _one(params)
    weights, (means, root) = jnp.asarray(own.weights), _means_and_root(family, own)
    if family.covariance.form is variances:
        components = tfd.MultivariateNormalDiag(means, root)
    else:
        root = jnp.broadcast_to(root, (*means.shape, means.shape[1]))
        components = tfd.MultivariateNormalTriL(means, scale_tril=root)
    return tfd.MixtureSameFamily(tfd.Categorical(probs=weights), components)


def from_tfp(mixture: Any) -> tuple[Mixture, MixtureParams]:
    """(model, params) of a Gaussian `MixtureSameFamily` of TensorFlow Probability on JAX without
    batch axes: components MultivariateNormalDiag (diag), or any other multivariate normal (full).
    Raises ImportError as `to_tfp`, ValueError for any other distribution.
    """
    tfd = _module(_TFP, "tensorflow-probability")
    whole = isinstance(mixture, tfd.MixtureSameFamily) and not tuple(mixture.batch_shape)
    inner = mixture.components_distribution if whole else None
    if inner is None or not isinstance(inner, tfd.MultivariateNormalLinearOperator):
        raise ValueError(
            "from_tfp takes one MixtureSameFamily, unbatched, of multivariate normals; got "
            f"{mixture}."
        )
    weights, means = mixture.mixture_distribution.probs_parameter(), inner.mean()
    if isinstance(inner, tfd.MultivariateNormalDiag):
        kind, covariances = "diag", jnp.broadcast_to(inner.variance(), means.shape)
    else:
        shape = (*means.shape, means.shape[-1])
        kind, covariances = "full", jnp.broadcast_to(inner.covariance(), shape)
    own = jaxem.GaussianParams(means, covariances)
    return Mixture(jaxem.Gaussian(kind), weights.size), MixtureParams(weights, own)


def _module(name: str, package: str) -> ModuleType:
    """A module of another library; ImportError that says what to install."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"this conversion needs {package}: pip install {package}") from error
    except AttributeError as error:
        # How TFP ends that was made for an older JAX.
        raise ImportError(
            f"the {package} installed here does not go with jax {jax.__version__} ({error}); "
            f"install a newer one{', as tfp-nightly' if name == _TFP else ''}."
        ) from error


def _means_and_root(family: GaussianFamily, own: MixtureParams) -> tuple[jax.Array, jax.Array]:
    """Means f[k, d], and lower roots of the covariance matrices or standard deviations f[k, d]."""
    components = jax.tree.map(jnp.asarray, own.components)
    return components.means, family.covariance.form.deviations(components)


def _gaussian(model: Mixture, what: str) -> GaussianFamily:
    if not isinstance(model.family, GaussianFamily):
        name = type(model.family).__name__
        raise ValueError(f"{what} takes a mixture of Gaussians; got one of {name}.")
    return model.family


def _one(params: MixtureParams | Fit) -> MixtureParams:
    """The parameters of one fit; ValueError for those of several."""
    own = params.params if isinstance(params, Fit) else params
    if np.ndim(own.weights) != 1:
        raise ValueError(
            f"these are the parameters of several fits, weights of shape {np.shape(own.weights)}: "
            "take one, as in fits.best()."
        )
    return own
