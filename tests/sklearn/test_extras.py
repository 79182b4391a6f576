"""What `jaxem.sklearn.GaussianMixture` has beyond scikit-learn's: online EM, standard errors."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone

import jaxem
from jaxem.core.precision import precision_of
from jaxem.sklearn import GaussianMixture, online, starts

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "default:.*SCIPY_ARRAY_API.*"
)
TYPES = ["full", "tied", "diag", "spherical"]
RNG = np.random.default_rng(0)
CENTRES = np.array([[0.0, 0], [5, 100], [0, 300]])
LABEL = RNG.integers(3, size=4000)
X = CENTRES[LABEL] + RNG.normal(size=(4000, 2)) * [1, 30] + [1e4, 0]
BATCH = 200


def fitted(covariance_type="full", x=X[:BATCH], **options):
    options = {"random_state": 0, "max_iter": 20, **options}
    return GaussianMixture(3, covariance_type=covariance_type, **options).fit(x)


def blend(estimator, x, weight, share):
    """The full-covariance step written out: statistics blended, then means and covariances."""
    r = estimator.predict_proba(x) * (weight / weight.sum())[:, None]
    pi, m = estimator.weights_, estimator.means_
    second = estimator.covariances_ - 1e-6 * np.eye(2) + np.einsum("ki,kj->kij", m, m)
    count = (1 - share) * pi + share * r.sum(axis=0)
    first = (1 - share) * pi[:, None] * m + share * r.T @ x
    square = (1 - share) * pi[:, None, None] * second
    square = square + share * np.einsum("nk,ni,nj->kij", r, x, x)
    means = first / count[:, None]
    own = square / count[:, None, None] - np.einsum("ki,kj->kij", means, means)
    return count, means, own + 1e-6 * np.eye(2)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_past_alone_leaves_the_parameters_where_they_are(covariance_type):
    shape = {"full": (3, 2, 2), "tied": (2, 2), "diag": (3, 2), "spherical": (3,)}
    root = RNG.uniform(0.5, 2, shape[covariance_type])
    square = covariance_type in ("full", "tied")
    own = root @ root.swapaxes(-1, -2) + np.eye(2) if square else root
    params = jaxem.MixtureParams(np.array([0.2, 0.5, 0.3]), jaxem.GaussianParams(CENTRES, own))
    model = jaxem.Mixture(jaxem.Gaussian(covariance_type, reg_covar=0.1), 3)
    with precision_of(np.float64):
        state = online.begin(model, params, seen=1e30)
        back = online.step(model, state, online.data_of(X[:5], None)).params
    for a, b in zip(
        (back.weights, back.means, back.covariances),
        (params.weights, params.means, params.covariances),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


def test_a_step_blends_the_statistics_by_the_rows_seen():
    here, x = fitted(), X[BATCH : 2 * BATCH] - [1e4, 0]
    here.means_ -= [1e4, 0]  # The reference below cancels; ours need not.
    weight = np.where(np.arange(BATCH) % 2, 2.0, 1.0)
    bound = here.score(x, sample_weight=weight)
    want = blend(here, x, weight, (1 + BATCH / 300) ** -0.6)
    steps = here.n_iter_
    assert here.partial_fit(x, sample_weight=weight) is here
    for got, wanted in zip((here.weights_, here.means_, here.covariances_), want, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(here.lower_bound_, bound)
    assert here.n_samples_seen_ == 500 and here.n_iter_ == steps + 1 and not here.converged_


def test_equal_batches_have_steps_of_one_over_a_power_of_their_number():
    one = GaussianMixture(1).fit(X[:50])
    for t in (2, 3, 4):
        batch, before = X[50 * (t - 1) : 50 * t], one.means_[0]
        one.partial_fit(batch)
        moved = t**-0.6 * (batch.mean(axis=0) - before)
        np.testing.assert_allclose(one.means_[0] - before, moved, rtol=1e-9)


def test_many_batches_come_as_far_as_all_rows_at_once():
    stream = GaussianMixture(3, random_state=0, max_iter=20)
    first = fitted()
    np.testing.assert_array_equal(stream.partial_fit(X[:BATCH]).means_, first.means_)
    for i in range(BATCH, len(X), BATCH):
        stream.partial_fit(X[i : i + BATCH])
    whole = fitted(x=X)
    assert stream.n_samples_seen_ == len(X)
    # A tenth of what the first batch alone had lost.
    assert whole.score(X) - stream.score(X) < 5e-3 < 4e-2 < whole.score(X) - first.score(X)
    order = np.argsort(stream.means_[:, 1])
    np.testing.assert_allclose(stream.means_[order] - [1e4, 0], CENTRES, atol=6)


def test_batches_keep_dtype_weights_and_the_estimators_manners():
    x = X.astype(np.float32)
    here = fitted(x=x[:BATCH])
    one, two = pickle.loads(pickle.dumps(here)), pickle.loads(pickle.dumps(here))
    three = x[BATCH : BATCH + 3]
    one.partial_fit(three, sample_weight=[1, 0, 2])
    two.partial_fit(three[[0, 2, 2]])
    np.testing.assert_allclose(one.means_, two.means_, rtol=1e-6)
    assert one.means_.dtype == one.precisions_cholesky_.dtype == np.float32
    assert not hasattr(clone(one), "n_samples_seen_")
    assert one.fit(x[:BATCH]).n_samples_seen_ == BATCH


def test_batches_that_cannot_be_taken_in_change_nothing():
    here = fitted()
    before = here.means_
    with pytest.raises(ValueError, match="3 features, but GaussianMixture is expecting 2"):
        here.partial_fit(np.ones((4, 3)))
    with pytest.raises(ValueError, match="zero"):
        here.partial_fit(X[:3], sample_weight=np.zeros(3))
    with pytest.raises(ValueError, match="overflow"):
        here.partial_fit(X[:3] * 1e300)
    with pytest.raises(ValueError, match="call fit to begin anew"):
        here.set_params(n_components=2).partial_fit(X[:3])
    assert here.means_ is before


def test_a_step_to_unusable_parameters_is_not_taken_and_told():
    here, alone = fitted(), X[LABEL == 0][:100]
    before = here.means_.copy()
    with pytest.warns(UserWarning, match="left the parameters as they were: a component lost"):
        here.partial_fit(alone, sample_weight=np.full(100, 1e14))
    np.testing.assert_allclose(here.means_, before, rtol=1e-12)
    assert here.n_samples_seen_ == 1e16 + BATCH


def test_standard_errors_when_asked():
    here = fitted(tol=1e-8, max_iter=500)
    assert not hasattr(here, "standard_errors_")
    here.fit(X[:BATCH], standard_errors=True)
    found = here.standard_errors_
    want = jaxem.standard_errors(here._model(), starts.params_of(here), X[:BATCH])
    for name in ("weights", "means", "covariances"):
        assert getattr(found, name).shape == getattr(here, f"{name}_").shape
        np.testing.assert_array_equal(getattr(found, name), getattr(want, name))
    # The clusters lie apart: each mean is known as well as from its own rows.
    count = here.predict_proba(X[:BATCH]).sum(axis=0)
    own = np.sqrt(np.diagonal(here.covariances_, axis1=1, axis2=2) / count[:, None])
    np.testing.assert_allclose(found.means, own, rtol=0.05)
    pickle.loads(pickle.dumps(here))
    here.partial_fit(X[:5])
    assert not hasattr(here, "standard_errors_")
