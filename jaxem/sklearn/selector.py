"""`MixtureSelector`: a sweep over numbers of components and covariance types, as an estimator."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import jax
import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import BaseEstimator, DensityMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

import jaxem
from jaxem.api.many_models import CRITERIA
from jaxem.results.sweep import Row
from jaxem.sklearn.data import RandomState, Weights, key_of, rows_to_fit, weight_of
from jaxem.sklearn.gaussian import GaussianMixture


@dataclass(eq=False, repr=False)
class MixtureSelector(DensityMixin, BaseEstimator):
    """The Gaussian mixture of the best criterion among `n_components` × `covariance_type`, each
    from `n_init` starts (see `jaxem.sweep`).

    `criterion` is "bic", "aic", "icl", "icl_entropy" or, with `folds` >= 2, "held_out" (see
    `jaxem.sweep`). Fitted attributes: `best_estimator_` (a fitted `GaussianMixture`, which makes
    every prediction), `best_params_`, `best_index_`, `results_` (a dict of columns, one row
    a model, ready for a data frame) and `sweep_` (the `jaxem.Sweep` with all starts of all models).

    >>> from jaxem.sklearn import MixtureSelector
    >>> x = datasets.load("old_faithful")
    >>> search = MixtureSelector(range(1, 3), covariance_type="full", n_init=8, random_state=0)
    >>> search.fit(x).best_params_
    {'n_components': 2, 'covariance_type': 'full'}
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_components": ["array-like", Interval(Integral, 1, None, closed="left"), range],
        "covariance_type": ["array-like", str],
        "criterion": [StrOptions(set(CRITERIA))],
        "folds": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [str, callable],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    n_components: ArrayLike = range(1, 10)
    _: KW_ONLY
    covariance_type: str | Sequence[str] = ("full", "tied", "diag", "spherical")
    criterion: str = "bic"
    folds: int = 0
    n_init: int = 32
    init_params: Any = "k-means++"
    tol: float = 1e-6
    max_iter: int = 500
    reg_covar: float = 1e-6
    random_state: RandomState = None
    verbose: int = 0

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: object = None, sample_weight: Weights = None) -> Self:
        """Fit and score every model; ValueError where no model has a sound fit."""
        X = rows_to_fit(self, X)
        sample_weight = weight_of(sample_weight, X)
        reg_covar = self.reg_covar
        self.sweep_ = jaxem.sweep(
            X,
            np.atleast_1d(self.n_components),
            self.covariance_type,
            key=key_of(self.random_state),
            n_starts=self.n_init,
            criterion=self.criterion,
            folds=self.folds,
            sample_weight=sample_weight,
            models=lambda k, kind: jaxem.Mixture(jaxem.Gaussian(kind, reg_covar=reg_covar), k),
            init=self.init_params,
            tol=self.tol,
            max_iter=self.max_iter,
            progress=bool(self.verbose),
        )
        table = self.sweep_.table()
        self.results_ = {name: np.array([row[name] for row in table]) for name in table[0]}
        best = self.sweep_.best
        self.best_index_ = self.sweep_.rows.index(best)
        self.best_params_ = dict(
            n_components=best.n_components, covariance_type=best.covariance_type
        )
        total = len(X) if sample_weight is None else float(np.sum(sample_weight))
        self.best_estimator_ = self._estimator(best, total, X.dtype)
        return self

    def _estimator(self, row: Row, total: float, dtype: DTypeLike) -> GaussianMixture:
        """The best start of a row as a fitted estimator."""
        names = "n_init", "init_params", "tol", "max_iter", "reg_covar", "random_state"
        options = {name: getattr(self, name) for name in names}
        estimator = GaussianMixture(**self.best_params_, **options)
        fits = jax.tree.map(np.asarray, row.fits)
        best = fits.best()
        bounds = [float(best.log_likelihood) / total]
        estimator._adopt(fits, best, bool(best.converged), bounds, dtype)
        estimator.n_iter_ = int(best.n_iter)
        estimator.n_samples_seen_ = total
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        return estimator

    def _best(self) -> GaussianMixture:
        check_is_fitted(self)
        return self.best_estimator_

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: Weights = None
    ) -> np.ndarray:
        """Fit, then the most probable component of each row under the best model."""
        return self.fit(X, y, sample_weight).predict(X)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable component of each row [n]."""
        return self._best().predict(X)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Posterior probability of each component [n, k]."""
        return self._best().predict_proba(X)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Log density of each row [n]."""
        return self._best().score_samples(X)

    def score(self, X: ArrayLike, y: object = None, sample_weight: Weights = None) -> float:
        """Mean log density per row, or per unit of `sample_weight`."""
        return self._best().score(X, y, sample_weight)

    def sample(self, n_samples: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Rows [n, d] drawn from the best model, and the component of each [n]."""
        return self._best().sample(n_samples)
