"""Estimators of mixtures of other families: a base class, and a few lines for each family."""

import warnings
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import jax
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

import jaxem
from jaxem.core.precision import precision_of
from jaxem.core.protocols import Family
from jaxem.families import levels
from jaxem.models.mixture_steps import log_joint
from jaxem.sklearn import online
from jaxem.sklearn.data import (
    RandomState,
    Weights,
    key_of,
    mean,
    pad,
    rows_like_fitted,
    rows_to_fit,
    weight_of,
)


@dataclass(eq=False, repr=False)
class FamilyMixture(DensityMixin, BaseEstimator, ABC):
    """Mixture of a family of components, fitted from `n_init` starts at once (see `jaxem.fit`).

    `init_params` is the `init` of `jaxem.fit`, `prior` the prior of the family. Fitted attributes:
    `weights_` [k], the parameters of the family by name with an underscore, `restarts_` (a
    `jaxem.Fit`, axis [starts]), `converged_`, `n_iter_`, and `lower_bound_`, the mean
    log-likelihood of exactly these parameters. `partial_fit` takes data in batches, of which
    `n_samples_seen_` counts the rows (or their weight).
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": "no_validation",
        "prior": "no_validation",
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    n_components: int = 1
    _: KW_ONLY
    tol: float = 1e-6
    max_iter: int = 500
    n_init: int = 32
    init_params: Any = "k-means++"
    prior: Any = None
    random_state: RandomState = None
    verbose: int = 0

    @abstractmethod
    def _family(self, X: np.ndarray) -> Family:
        """The family of the components, for these rows."""

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None, sample_weight: Weights = None) -> Self:
        """Fit by EM; ValueError where no start leads to a sound fit."""
        X = rows_to_fit(self, X)
        sample_weight = weight_of(sample_weight, X)
        self._model = jaxem.Mixture(self._family(X), n_components=self.n_components)
        fits = jaxem.fit(
            self._model,
            X,
            key=key_of(self.random_state),
            n_starts=self.n_init,
            init=self.init_params,
            sample_weight=sample_weight,
            tol=self.tol,
            max_iter=self.max_iter,
            progress=bool(self.verbose),
        )
        best = fits.best()
        self._stand_at(best.params)
        self.converged_, self.n_iter_ = bool(best.converged), int(best.n_iter)
        total = len(X) if sample_weight is None else float(np.sum(sample_weight))
        self.lower_bound_ = float(best.log_likelihood) / total
        self.restarts_ = jax.tree.map(np.asarray, fits)
        self.n_samples_seen_ = len(X) if sample_weight is None else total
        self._online = None
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                f"The best start did not converge: {best.summary()}", ConvergenceWarning, 3
            )
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: Weights = None) -> Self:
        """Take in one more batch of rows by a step of online EM, as `GaussianMixture.partial_fit`
        does; the first batch is fitted as by `fit`."""
        if not hasattr(self, "n_samples_seen_"):
            return self.fit(X, sample_weight=sample_weight)
        X = rows_like_fitted(self, X)
        self._model.family.validate(X)
        online.check_same_size(self.n_components, self._model.n_components)
        data = online.data_of(X, weight_of(sample_weight, X))
        state = self._online or online.begin(self._model, self._params, self.n_samples_seen_)
        self._online = online.step(self._model, state, data)
        dtype = self.weights_.dtype
        self._stand_at(jax.tree.map(lambda leaf: leaf.astype(dtype), self._online.params))
        self.n_samples_seen_ += len(X) if sample_weight is None else float(np.sum(data.weight))
        self.converged_, self.n_iter_ = False, self.n_iter_ + 1
        self.lower_bound_ = float(self._online.log_likelihood)
        return self

    def _stand_at(self, params: jaxem.MixtureParams) -> None:
        """Set the fitted parameters."""
        self._params = jax.tree.map(np.asarray, params)
        self.weights_ = self._params.weights
        for name, value in vars(self._params.components).items():
            setattr(self, f"{name}_", value)

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: Weights = None
    ) -> np.ndarray:
        """Fit, then the most probable component of each row."""
        return self.fit(X, y, sample_weight).predict(X)

    def _log_joint(self, X: ArrayLike) -> np.ndarray:
        check_is_fitted(self)
        X = rows_like_fitted(self, X)
        self._model.family.validate(X)
        with precision_of(X.dtype):
            return np.asarray(log_joint(self._model, self._params, pad(X)))[: len(X)]

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Log density of each row [n]."""
        return np.asarray(logsumexp(self._log_joint(X), axis=1))

    def score(self, X: ArrayLike, y: object = None, sample_weight: Weights = None) -> float:
        """Mean log density per row, or per unit of `sample_weight`."""
        return mean(self.score_samples(X), sample_weight)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Posterior probability of each component [n, k]."""
        joint = self._log_joint(X)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable component of each row [n]."""
        return self._log_joint(X).argmax(axis=1)

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Rows [n, d] drawn from the fitted mixture, and the component of each [n]."""
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1; got {n_samples}.")
        with precision_of(self.weights_.dtype):
            x, label = self._model.sample(key_of(self.random_state), self._params, n_samples)
            return np.asarray(x), np.asarray(label, int)

    def bic(self, X: ArrayLike) -> float:
        """Bayesian information criterion on X, lower is better."""
        total = float(np.sum(self.score_samples(X)))
        return self._model.n_parameters(np.shape(X)[1]) * np.log(np.shape(X)[0]) - 2 * total

    def aic(self, X: ArrayLike) -> float:
        """Akaike's information criterion on X, lower is better."""
        total = float(np.sum(self.score_samples(X)))
        return 2 * self._model.n_parameters(np.shape(X)[1]) - 2 * total


class BernoulliMixture(FamilyMixture):
    """Mixture of independent 0/1 features; `probabilities_` [k, d]. See `FamilyMixture`.

    >>> from jaxem.sklearn import BernoulliMixture
    >>> BernoulliMixture(n_components=2, n_init=200, prior=jaxem.Beta(2, 2))
    BernoulliMixture(n_components=2, n_init=200, prior=Beta(a=2, b=2))
    """

    def _family(self, X: np.ndarray) -> Family:
        return jaxem.Bernoulli(self.prior)


class PoissonMixture(FamilyMixture):
    """Mixture of independent counts; `rates_` [k, d]. See `FamilyMixture`.

    >>> from jaxem.sklearn import PoissonMixture
    >>> x = np.repeat([[1], [2], [20], [22]], 10, axis=0)
    >>> mixture = PoissonMixture(n_components=2, n_init=4, random_state=0).fit(x)
    >>> np.sort(mixture.rates_.ravel()).round(1)
    array([ 1.5, 21. ])
    """

    def _family(self, X: np.ndarray) -> Family:
        return jaxem.Poisson(self.prior)


@dataclass(eq=False, repr=False)
class CategoricalMixture(FamilyMixture):
    """Latent class analysis: features coded 0 .. n_categories − 1; `probabilities_` [k, d, c], 0
    for categories that a column does not have. `n_categories` is one number, or one for each
    column; None: one more than the largest code of each column. See `FamilyMixture`.

    >>> from jaxem.sklearn import CategoricalMixture
    >>> CategoricalMixture(n_components=2, n_categories=3, n_init=200)
    CategoricalMixture(n_categories=3, n_components=2, n_init=200)
    """

    _parameter_constraints: ClassVar[dict] = {
        **FamilyMixture._parameter_constraints,
        "n_categories": [Interval(Integral, 1, None, closed="left"), "array-like", None],
    }

    n_categories: Any = None

    def _family(self, X: np.ndarray) -> Family:
        given = self.n_categories
        return jaxem.Categorical(levels.shown(X) if given is None else given, self.prior)
