"""`jaxem.sklearn.GaussianMixture` beside scikit-learn's: the same numbers, and what is more."""

import io
import pickle
import warnings
from contextlib import redirect_stdout

import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn.mixture
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxem import Status
from jaxem.sklearn import GaussianMixture

TYPES = ["full", "tied", "diag", "spherical"]
INITS = ["kmeans", "k-means++", "random", "random_from_data"]
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "default:.*SCIPY_ARRAY_API.*"
)

_rng = np.random.default_rng(0)
X = np.concatenate([_rng.normal(m, s, (100, 2)) for m, s in [(0, 1), (3, 0.5), (6, 2)]])
X = X * [1.0, 30.0] + [5.0, 1000.0]


def both(x=X, n_components=3, **options):
    """Fitted twins: scikit-learn's and ours."""
    options = {"random_state": 0, **options}
    return (
        sklearn.mixture.GaussianMixture(n_components, **options).fit(x),
        GaussianMixture(n_components, **options).fit(x),
    )


def assert_twins(peer, ours, rtol=1e-9):
    assert (peer.n_iter_, peer.converged_) == (ours.n_iter_, ours.converged_)
    names = "weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"
    for name in names:
        a, b = getattr(peer, name), getattr(ours, name)
        assert a.dtype == b.dtype and a.shape == b.shape, name
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol * np.abs(a).max(), err_msg=name)
    np.testing.assert_allclose(ours.lower_bounds_, peer.lower_bounds_, rtol=max(rtol, 3e-9))
    np.testing.assert_allclose(ours.lower_bound_, peer.lower_bound_, rtol=max(rtol, 3e-9))


def given(covariance_type):
    """A rough start, as scikit-learn takes it."""
    variance = X.var(axis=0) / 2
    shape = {
        "full": np.stack([np.diag(1 / variance)] * 3),
        "tied": np.diag(1 / variance),
        "diag": np.stack([1 / variance] * 3),
        "spherical": np.full(3, 1 / variance.mean()),
    }
    start = dict(weights_init=[0.5, 0.25, 0.25], means_init=X[[5, 105, 205]])
    return dict(start, precisions_init=shape[covariance_type])


@pytest.mark.parametrize("covariance_type", TYPES)
def test_same_numbers_after_every_iteration(covariance_type):
    for max_iter in (1, 2, 3, 10, 200):
        options = dict(covariance_type=covariance_type, max_iter=max_iter, tol=1e-7)
        peer, ours = both(**options, **given(covariance_type))
        assert_twins(peer, ours)
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-9)
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    for name in ("score", "bic", "aic"):
        np.testing.assert_allclose(getattr(ours, name)(X), getattr(peer, name)(X), rtol=1e-9)
    for a, b in zip(ours.sample(50), peer.sample(50), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("init_params", INITS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_same_starts(covariance_type, init_params):
    for max_iter in (0, 1, 50):
        options = dict(init_params=init_params, max_iter=max_iter, random_state=3)
        assert_twins(*both(covariance_type=covariance_type, **options))


def test_a_part_of_the_start_may_be_given():
    for name, value in given("full").items():
        assert_twins(*both(**{name: value}, max_iter=5))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_best_of_several_starts_and_dtypes(dtype):
    rtol = 1e-9 if dtype == np.float64 else 2e-3
    options = dict(init_params="random", tol=1e-4, max_iter=300, n_init=4)
    peer, ours = both(X.astype(dtype), **options)
    assert ours.means_.dtype == dtype and ours.score_samples(X.astype(dtype)).dtype == dtype
    if dtype == np.float64:
        assert_twins(peer, ours, rtol)
    np.testing.assert_allclose(ours.means_, peer.means_, rtol=rtol)
    assert type(ours.lower_bound_) is type(peer.lower_bound_) is dtype
    assert {type(bound) for bound in ours.lower_bounds_} == {dtype}
    assert ours.restarts_.status.shape == (4,)
    values = ours.restarts_.log_likelihood / len(X)
    np.testing.assert_allclose(values.max(), ours.score(X.astype(np.float64)), rtol=1e-6)


def test_tolerance_zero_runs_all_iterations():
    assert_twins(*both(tol=0, max_iter=150, **given("full")))


def test_warm_start_goes_on_from_the_parameters_and_the_lower_bound():
    peer = sklearn.mixture.GaussianMixture(3, warm_start=True, max_iter=2, random_state=0)
    ours = GaussianMixture(3, warm_start=True, max_iter=2, random_state=0)
    for _ in range(4):
        assert_twins(peer.fit(X), ours.fit(X))


def test_a_thousand_starts_are_raced_and_all_reported():
    options = dict(init_params="random_from_data", random_state=0)
    one = GaussianMixture(3, tol=1e-6, max_iter=500, **options).fit(X)
    many = GaussianMixture(3, n_init=1000, **options).fit(X)
    assert many.restarts_.status.shape == many.restarts_.n_iter.shape == (1000,)
    assert (many.restarts_.status == Status.PRUNED).sum() > 500
    assert many.score(X) >= one.score(X) - 1e-6
    assert many.converged_ and abs(np.diff(many.lower_bounds_[-2:])[0]) < 1e-6
    best = many.restarts_.best()
    np.testing.assert_allclose(best.log_likelihood / len(X), many.score(X), rtol=1e-9)
    np.testing.assert_allclose(best.params.means, many.means_, rtol=1e-12)
    again = GaussianMixture(3, n_init=1000, **options).fit(X)
    np.testing.assert_array_equal(again.means_, many.means_)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_a_weight_of_two_is_a_row_twice(covariance_type):
    weight = np.arange(len(X)) % 3
    label = np.arange(len(X)) * 3 // len(X)
    options = dict(covariance_type=covariance_type, tol=1e-8, max_iter=500)
    weighted = GaussianMixture(3, init_params=label, **options).fit(X, sample_weight=weight)
    rows, labels = np.repeat(X, weight, axis=0), np.repeat(label, weight)
    twice = GaussianMixture(3, init_params=labels, **options).fit(rows)
    np.testing.assert_allclose(weighted.means_, twice.means_, rtol=1e-9)
    np.testing.assert_allclose(weighted.covariances_, twice.covariances_, rtol=1e-7)
    np.testing.assert_allclose(weighted.weights_, twice.weights_, rtol=1e-9)
    np.testing.assert_allclose(weighted.score(X, sample_weight=weight), twice.score(rows))
    assert weighted.n_iter_ == twice.n_iter_


def test_labels_responsibilities_and_callables_are_starts():
    label = np.arange(len(X)) * 3 // len(X)

    def by_hand(x, n_components, random_state):
        return random_state.dirichlet(np.ones(n_components), len(x))

    hard = GaussianMixture(3, init_params=label).fit(X)
    soft = GaussianMixture(3, init_params=np.eye(3)[label], n_init=5).fit(X)
    np.testing.assert_array_equal(hard.means_, soft.means_)
    assert soft.restarts_.status.shape == (1,)
    called = GaussianMixture(3, init_params=by_hand, n_init=4, random_state=0).fit(X)
    peer, _ = both(max_iter=1, **given("full"))
    assert called.restarts_.status.shape == (4,) and called.score(X) > peer.score(X)
    with pytest.raises(ValueError, match="labels"):
        GaussianMixture(3, init_params=np.ones((4, 3))).fit(X)
    with pytest.raises(ValueError, match="init_params"):
        GaussianMixture(3, init_params="clever").fit(X)


def test_only_when_all_starts_fail_is_it_an_error():
    x = np.repeat(X[:3], 40, axis=0)  # three points: components of one point each are singular
    for one in (sklearn.mixture.GaussianMixture, GaussianMixture):
        with pytest.raises(ValueError, match="increase reg_covar, or scale the input data"):
            one(3, reg_covar=0, random_state=0).fit(x)
    hopeless, even = np.arange(120) // 40, np.ones((120, 3)) / 3
    starts = iter([hopeless, even])
    fitted = GaussianMixture(3, reg_covar=0, n_init=2, init_params=lambda *_: next(starts)).fit(x)
    assert fitted.restarts_.status.tolist() == [Status.SINGULAR, Status.CONVERGED]
    np.testing.assert_allclose(fitted.means_, np.stack([x.mean(axis=0)] * 3))


def test_unscaled_data_with_narrow_seeds():
    peer, ours = both(X * 1e5, init_params="k-means++")
    np.testing.assert_allclose(ours.means_, peer.means_, rtol=1e-6)
    np.testing.assert_allclose(ours.covariances_, peer.covariances_, rtol=1e-5)


def test_rest_of_the_manners():
    ours = GaussianMixture(3, random_state=0, reg_covar=1e-5).fit(X)
    assert isinstance(ours, sklearn.mixture.GaussianMixture)
    assert clone(ours).get_params() == ours.get_params() and not hasattr(clone(ours), "means_")
    back = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(back.predict_proba(X), ours.predict_proba(X))
    np.testing.assert_array_equal(back.restarts_.status, ours.restarts_.status)
    pipe = make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0)).fit(X)
    assert set(pipe.predict(X)) == {0, 1, 2}
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [2, 3]}, cv=3).fit(X)
    peer = GridSearchCV(
        sklearn.mixture.GaussianMixture(random_state=0), {"n_components": [2, 3]}, cv=3
    ).fit(X)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_allclose(search.cv_results_[name], peer.cv_results_[name], rtol=1e-7)


def test_it_warns_and_talks_as_scikit_learn_does():
    told = []
    for one in (sklearn.mixture.GaussianMixture, GaussianMixture):
        out = io.StringIO()
        with redirect_stdout(out), pytest.warns(ConvergenceWarning, match="did not converge") as w:
            warnings.simplefilter("always")
            one(3, max_iter=3, tol=0, n_init=2, verbose=1, verbose_interval=1).fit(X)
        told.append((out.getvalue(), str(w[0].message)))
    assert w[0].filename == __file__  # ours points at the caller
    assert told[0] == told[1]


def test_predictions_follow_attributes_set_by_hand():
    peer, ours = both(**given("full"))
    for one in (peer, ours):
        one.means_ = one.means_ + 1.0
        one.precisions_cholesky_ = 2 * one.precisions_cholesky_
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), rtol=1e-9)
