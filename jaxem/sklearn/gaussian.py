"""`GaussianMixture`: scikit-learn's estimator, fitted by jaxem."""

import inspect
import warnings
from time import time
from typing import Self

import numpy as np
import sklearn.mixture
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky
from sklearn.utils import Tags, check_random_state

import jaxem
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.trees import replace
from jaxem.results.fit import Fit
from jaxem.search.options import RACE_FROM
from jaxem.search.race import RUNGS
from jaxem.sklearn import density, online, starts
from jaxem.sklearn.data import Weights, mean, rows_like_fitted, rows_of, rows_to_fit, weight_of
from jaxem.sklearn.restarts import Found, Problem, SingularStarts, exhaustive, race

_Peer = sklearn.mixture.GaussianMixture

#: Whether this version of scikit-learn passes a namespace of arrays around.
_TAKES_NAMESPACE = "xp" in inspect.signature(_Peer._check_parameters).parameters


class GaussianMixture(_Peer):
    """Drop-in for `sklearn.mixture.GaussianMixture` whose starts run together, compiled, on
    whatever device JAX has; for every argument, method and attribute see there.

    From the same start it gives scikit-learn's numbers after every iteration. Up to 63 starts are
    scikit-learn's (same `random_state`, same starts) and all run to the end; so does any number of
    starts with `max_iter` of 10 or less. From `n_init=64` on, or with `sample_weight`, starts are
    drawn by jaxem's initialiser of the same name; for "k-means++" and "random_from_data" it assigns
    every row to the nearest chosen row, where scikit-learn leaves the other rows out. From 64 on
    starts are raced: each runs for a few iterations, the best distinct ones until the lower bound
    changes by less than 1e-6 (or tol, if smaller), and spurious maxima cannot win. A start whose
    covariances become singular is left out; scikit-learn's error is raised when all do.

    Beyond scikit-learn: `sample_weight` in `fit`, `fit_predict` and `score`; `init_params` may be
    labels [n], responsibilities [n, k] or a callable `(X, n_components, random_state)` that gives
    either; `restarts_`, a `jaxem.Fit` with axis [starts], has every start's parameters,
    log-likelihood, status and iterations; `fit(X, standard_errors=True)` leaves `standard_errors_`
    (see `jaxem.standard_errors`; `standard_errors_.means` has the shape of `means_`); `partial_fit`
    takes data in batches, of which `n_samples_seen_` counts the rows (or their weight).

    Everything is computed in float64 and handed back in the dtype of X. A `reg_covar` that rounding
    would swallow, below 7e-15 · n_features of a feature's variance, counts as that much, and a
    component that lost all its rows rests at the mean of the data rather than at the origin. What
    `verbose` prints is printed at the end.

    >>> from jaxem.sklearn import GaussianMixture
    >>> x = datasets.load("old_faithful")
    >>> mixture = GaussianMixture(n_components=2, n_init=8, random_state=0).fit(x)
    >>> np.sort(mixture.weights_).round(2)
    array([0.36, 0.64])
    >>> mixture.restarts_
    Fit(8 fits, best log-likelihood -1130.26, ...)
    """

    _parameter_constraints: dict = {  # noqa: RUF012
        **_Peer._parameter_constraints,
        "init_params": [*_Peer._parameter_constraints["init_params"], callable, "array-like"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: ArrayLike, y: object = None, sample_weight: Weights = None,
        standard_errors: bool = False,
    ) -> Self:  # fmt: skip
        """Fit by EM from `n_init` starts, or from where the last fit ended if `warm_start`; with
        `standard_errors`, judge the parameters too (`standard_errors_`)."""
        X = rows_to_fit(self, X)
        sample_weight = weight_of(sample_weight, X)
        if len(X) < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {len(X)}"
            )
        self._check_parameters(X, **({"xp": np} if _TAKES_NAMESPACE else {}))
        make_room()
        begun = time()
        try:
            with precision_of(np.float64):
                found = self._search(X, sample_weight)
        except SingularStarts:
            # Raises scikit-learn's error.
            _compute_precision_cholesky(-np.ones((1, 1), X.dtype), "diag")
            raise
        if self.verbose:
            self._tell(found, time() - begun)
        self._adopt(found.fits, *found.best, X.dtype)
        self.n_samples_seen_ = len(X) if sample_weight is None else float(sample_weight.sum())
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init parameters, "
                "or increase max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if standard_errors:
            model, params = self._model(), starts.params_of(self)
            self.standard_errors_ = jaxem.standard_errors(model, params, X, sample_weight)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: Weights = None) -> Self:
        """Take in one more batch of rows by a step of online EM (Cappé and Moulines 2009).

        The first batch is fitted as by `fit`; after a `fit`, or an earlier batch, this one moves
        the running statistics by γ = (1 + t)^−0.6, t being the rows seen before over the rows of
        this batch: by turns 1, 2^−0.6, 3^−0.6, .. for equal batches. The statistics of a fit are
        those whose M-step are its parameters. `lower_bound_` is then the mean log-likelihood of the
        batch before the step, `converged_` is False, and `restarts_` stays that of the fit. A step
        to parameters that cannot be used, such as a singular covariance, is not taken, and warns.
        """
        if not hasattr(self, "n_samples_seen_"):
            return self.fit(X, sample_weight=sample_weight)
        X = rows_like_fitted(self, X)
        batch = online.data_of(X, weight_of(sample_weight, X))
        model, here, dtype = self._model(), starts.params_of(self), np.asarray(self.means_).dtype
        online.check_same_size(self.n_components, len(here.weights))
        state = self._online or online.begin(model, here, self.n_samples_seen_)
        state = replace(state, params=here)
        state = online.step(online.ridged(model, state.scaling), state, batch)
        bound = dtype.type(state.log_likelihood)
        self._stand_at(state.params, dtype)
        self._online = state
        self.n_samples_seen_ += len(X) if sample_weight is None else float(batch.weight.sum())
        self.converged_, self.n_iter_ = False, self.n_iter_ + 1
        self.lower_bound_, self.lower_bounds_ = bound, [*self.lower_bounds_, bound]
        return self

    def fit_predict(
        self, X: ArrayLike, y: object = None, sample_weight: Weights = None
    ) -> np.ndarray:
        """Fit, then the most probable component of each row."""
        return self.fit(X, y, sample_weight).predict(X)

    def score(self, X: ArrayLike, y: object = None, sample_weight: Weights = None) -> float:
        """Mean log-likelihood per row, or per unit of `sample_weight`."""
        return mean(self.score_samples(X), sample_weight)

    def _model(self) -> jaxem.Mixture:
        family = jaxem.Gaussian(self.covariance_type, reg_covar=self.reg_covar)
        return jaxem.Mixture(family, n_components=self.n_components)

    def _search(self, X: np.ndarray, sample_weight: np.ndarray | None) -> Found:
        model = self._model()
        rows = rows_of(model.family, X, sample_weight)
        inner = starts.in_standard_units(model, rows.scaling)
        problem = Problem(model, inner, rows, self.tol, self.max_iter)
        random_state = check_random_state(self.random_state)
        if self.warm_start and hasattr(self, "converged_"):
            here = starts.stacked(problem, [starts.params_of(self)])
            return exhaustive(problem, here, float(self.lower_bound_))
        params = self._starts(problem, random_state)
        if self._races() and len(params.weights) >= RACE_FROM:
            return race(problem, params, bool(self.verbose))
        return exhaustive(problem, params)

    def _races(self) -> bool:
        """Whether there are many starts, and more iterations than a race begins with."""
        return self.n_init >= RACE_FROM and self.max_iter > RUNGS[0][0]

    def _starts(self, problem: Problem, random_state: np.random.RandomState) -> jaxem.MixtureParams:
        """Parameters of all starts in standard units; a single start where all are equal."""
        init, n = self.init_params, self.n_init
        asked = self.weights_init, self.means_init, self.precisions_init
        given = [None if value is None else np.asarray(value, float) for value in asked]
        if given[2] is not None:
            given[2] = starts.inverse(self.covariance_type, given[2])
        known = [value for value in given if value is not None]
        if len(known) == len(given):
            return starts.stacked(problem, [starts.mixture(*known)])
        if not isinstance(init, str):
            params = starts.seeded(problem, n, init, random_state)
        elif problem.rows.weight is not None or self._races():
            params = starts.drawn(problem, n, init, random_state)
        else:
            lanes = []
            for _ in range(n):
                self._initialize_parameters(problem.rows.x, random_state)
                lanes.append(starts.params_of(self))
            return starts.stacked(problem, lanes)
        return starts.overridden(problem, params, given)

    def _adopt(
        self, fits: Fit, best: Fit, converged: bool, bounds: list[float], dtype: DTypeLike
    ) -> None:
        """Set the fitted attributes to the best of all fits."""
        self._stand_at(best.params, dtype)
        self.converged_ = converged
        self.n_iter_ = len(bounds)
        bounds = list(np.asarray(bounds, dtype))
        self.lower_bounds_ = bounds
        self.lower_bound_ = bounds[-1] if bounds else -np.inf
        self.restarts_ = fits
        self._online = None

    def _stand_at(self, params: jaxem.MixtureParams, dtype: DTypeLike) -> None:
        """Set the fitted parameters; scikit-learn's error, and no change, where one is singular."""
        covariances = np.asarray(params.covariances, float)
        upper = _compute_precision_cholesky(covariances, self.covariance_type)
        leaves = params.weights, params.means, covariances, upper
        # Copies, since the user may write to them.
        self._set_parameters(tuple(np.array(leaf, dtype) for leaf in leaves))
        # Standard errors of the earlier parameters.
        vars(self).pop("standard_errors_", None)

    def _tell(self, found: Found, seconds: float) -> None:
        """Print scikit-learn's messages after the fit; times are shares of the total."""
        share = seconds / max(1, sum(map(len, found.lower_bounds)))
        for start, bounds in enumerate(found.lower_bounds):
            self._print_verbose_msg_init_beg(start)
            for i, change in enumerate(np.diff(bounds, prepend=-np.inf), 1):
                self._iter_prev_time = time() - self.verbose_interval * share
                self._print_verbose_msg_iter_end(i, change)
            self._init_prev_time = time() - len(bounds) * share
            if bounds:
                self._print_verbose_msg_init_end(bounds[-1], found.converged[start])

    def _estimate_weighted_log_prob(self, X: ArrayLike, xp: object = None) -> np.ndarray:
        """log π_k p(x|k) f[n, k], from which scikit-learn computes every prediction."""
        X = np.asarray(X)
        joint = density.log_joint(self, X.astype(np.float64))
        float_dtype = X.dtype if X.dtype.kind == "f" else np.float64
        return joint.astype(np.result_type(float_dtype, self.means_))

    def __sklearn_tags__(self) -> Tags:
        # Without the tags of scikit-learn's class, which claim array API support.
        return super(_Peer, self).__sklearn_tags__()
