"""The estimator in a loop: programs shared by folds and sizes, few rows without any, workers."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from joblib import parallel_config
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import GridSearchCV

from jaxem.batch.padding import SPARE
from jaxem.core.compilation import compilations
from jaxem.data.ragged import EXPECTED
from jaxem.sklearn import GaussianMixture, PoissonMixture, density, restarts
from jaxem.sklearn.data import padded_components

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "default:.*SCIPY_ARRAY_API.*"
)
TYPES = ["full", "tied", "diag", "spherical"]
PREDICTIONS = "predict", "predict_proba", "score_samples", "score", "bic"

_rng = np.random.default_rng(0)
X = np.concatenate([_rng.normal(m, s, (100, 3)) for m, s in [(0, 1), (3, 0.5), (6, 2)]])
_rng.shuffle(X)


WEIGHT = np.arange(300) % 3


def fitted(k=3, covariance_type="full", x=X, weight=None, **options):
    mixture = GaussianMixture(k, covariance_type=covariance_type, random_state=0, **options)
    return mixture.fit(x, sample_weight=weight)


def as_it_is(monkeypatch, function):
    """The result of a function that fits mixtures without components that are switched off."""
    with monkeypatch.context() as patch:
        patch.setattr(restarts, "padded_components", lambda k, responsibilities: k)
        return function()


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 9])
def test_padded_fits_are_those_of_the_mixture_as_it_is(covariance_type, k, monkeypatch):
    for options in (
        dict(max_iter=1),
        dict(n_init=3, init_params="random", tol=1e-6, max_iter=300),  # over two calls
        dict(reg_covar=0.1, tol=0, max_iter=20),
        dict(weight=WEIGHT, max_iter=5),
        dict(init_params=np.arange(300) % k, max_iter=5),
    ):
        got = fitted(k, covariance_type, **options)
        want = as_it_is(monkeypatch, lambda o=options: fitted(k, covariance_type, **o))
        assert (got.n_iter_, got.converged_) == (want.n_iter_, want.converged_)
        np.testing.assert_array_equal(got.restarts_.status, want.restarts_.status)
        for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
            a, b = getattr(got, name), getattr(want, name)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(
            got.restarts_.log_likelihood, want.restarts_.log_likelihood, rtol=1e-9
        )
        assert got.bic(X) == pytest.approx(want.bic(X), rel=1e-12)


def test_components_are_padded_where_that_costs_little():
    assert [padded_components(k, 512) for k in (1, 8, 9, 16, 33)] == [8, 8, 16, 16, 64]
    for k in (1, 5, 100):
        for rows in (512, 10_000, 10**6):
            size = padded_components(k, rows)
            assert size >= k and (size - k) * rows * EXPECTED <= SPARE
    assert padded_components(2, 10**6) == 2


@pytest.mark.parametrize("covariance_type", TYPES)
def test_other_folds_lengths_sizes_and_settings_compile_nothing(covariance_type):
    fitted(2, covariance_type, X[:240])
    fitted(2, covariance_type, weight=WEIGHT)
    fitted(3, covariance_type, init_params=WEIGHT)
    others = {
        "fold": lambda: fitted(2, covariance_type, X[60:]),
        "rows": lambda: fitted(2, covariance_type, X[:77]),
        "components": lambda: [fitted(k, covariance_type) for k in range(1, 9)],
        "settings": lambda: fitted(2, covariance_type, tol=1e-5, max_iter=7, reg_covar=1e-3),
        "start": lambda: fitted(2, covariance_type, init_params="random_from_data"),
        "weighted": lambda: [fitted(k, covariance_type, weight=WEIGHT) for k in (2, 3, 8)],
        "labels": lambda: fitted(4, covariance_type, init_params=np.arange(300) % 4),
        "refit": lambda: fitted(2, covariance_type, X[:240]).fit(X),
        "predictions": lambda: [
            getattr(fitted(2, covariance_type), name)(X) for name in PREDICTIONS
        ],
    }
    programs = {}
    for name, call in others.items():
        with compilations() as count:
            call()
        programs[name] = count.programs
    assert programs == dict.fromkeys(others, 0)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_few_rows_are_judged_by_numpy_as_many_are_by_a_program(covariance_type, monkeypatch):
    far = X + np.array([1e6, 0, 0])
    mixture, rows = fitted(3, covariance_type, far), far[:50]
    with compilations() as count:
        few = {name: getattr(mixture, name)(rows) for name in PREDICTIONS}
    assert count.programs == 0
    monkeypatch.setattr(density, "FEW", 0)
    for name, value in few.items():
        np.testing.assert_allclose(value, getattr(mixture, name)(rows), rtol=1e-9, atol=1e-12)


def test_a_component_without_weight_has_no_rows():
    mixture = fitted(2)
    mixture.weights_ = np.array([1.0, 0.0])
    assert (mixture.predict(X) == 0).all() and np.isfinite(mixture.score(X))
    np.testing.assert_array_equal(mixture.predict_proba(X)[:, 1], 0)


def test_predictions_of_one_row_compile_once():
    x = _rng.poisson(3, (100, 2))
    mixture = PoissonMixture(2, n_init=2, random_state=0).fit(x)
    mixture.predict(x[:1])
    with compilations() as count:
        for n in (1, 2, 100):
            mixture.predict(x[:n])
    assert count.programs == 0


def search(n_jobs, backend="loky"):
    grid = dict(n_components=[1, 2, 3], covariance_type=["diag"])
    with parallel_config(backend):
        found = GridSearchCV(GaussianMixture(random_state=0), grid, cv=3, n_jobs=n_jobs).fit(X)
    return found.cv_results_["mean_test_score"]


def test_threads_find_what_one_finds():
    np.testing.assert_allclose(search(2, "threading"), search(1), rtol=1e-12)


def test_processes_find_what_one_finds_and_share_the_compilation_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    kept = []
    for _ in range(2):
        get_reusable_executor().shutdown(wait=True)  # the next workers know the new environment
        np.testing.assert_allclose(search(2), search(1), rtol=1e-12)
        kept.append({path.name for path in tmp_path.iterdir() if path.name.endswith("-cache")})
    get_reusable_executor().shutdown(wait=True)
    assert kept[0] and kept[0] == kept[1]
