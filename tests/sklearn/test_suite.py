"""scikit-learn's own tests of `GaussianMixture`, run on ours, and its estimator checks."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.mixture.tests import test_gaussian_mixture as peer
from sklearn.mixture.tests import test_mixture as peer_of_both
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from jaxem.sklearn import GaussianMixture

# Many of scikit-learn's tests end after few iterations; those about that warning ask for it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "default:.*SCIPY_ARRAY_API.*"
)

FREE = "calls scikit-learn's private functions only, never the class"
ARRAYS = "array API: ours takes NumPy arrays"

#: Tests that are not run, and why. All others of the module are.
LEFT_OUT = {
    "test_suffstat_sk_full": FREE,
    "test_suffstat_sk_tied": FREE,
    "test_suffstat_sk_diag": FREE,
    "test_gaussian_suffstat_sk_spherical": FREE,
    "test_compute_log_det_cholesky": FREE,
    "test_gaussian_mixture_log_probabilities": FREE,
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": (
        "counts the calls of scikit-learn's private M-step"
    ),
    "test_gaussian_mixture_array_api_compliance": ARRAYS,
    "test_gaussian_mixture_raises_where_array_api_not_implemented": ARRAYS,
}

_ALL = [name for name in vars(peer) if name.startswith("test_")]
globals().update({name: getattr(peer, name) for name in _ALL if name not in LEFT_OUT})


@pytest.fixture(autouse=True)
def swapped(monkeypatch):
    """Our class under the name that their tests use; one thread for their k-means, whose many
    tiny runs would otherwise spend their time waiting for one another."""
    monkeypatch.setattr(peer, "GaussianMixture", GaussianMixture)
    with threadpool_limits(1):
        yield


@pytest.fixture(autouse=True)
def counted(request, record_property):
    """Which of scikit-learn's a test is, for the count at the end (tests/conftest.py)."""
    if request.node.name.startswith("test_estimator_checks"):
        record_property("scikit-learn", "check")
    elif request.node.name != "test_what_is_left_out_exists_and_is_little":
        record_property("scikit-learn", "test module")


@pytest.fixture(params=[np.float64, np.float32])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


def test_what_is_left_out_exists_and_is_little():
    assert set(LEFT_OUT) <= set(_ALL)
    assert len(_ALL) - len(LEFT_OUT) >= 30


@pytest.mark.parametrize("name", [n for n in vars(peer_of_both) if n.startswith("test_")])
def test_mixtures_in_general(name):
    getattr(peer_of_both, name)(GaussianMixture())


@parametrize_with_checks([GaussianMixture()])
def test_estimator_checks(estimator, check):
    check(estimator)
