"""Winners stand at the top of their path, whatever `tol` the others stopped at."""

import warnings

import jax
import numpy as np
import pytest
from problems import clouds
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import jaxem
from jaxem import datasets
from jaxem.core.status import SOUND
from jaxem.search import refine, winners

KEY = jax.random.key(0)


def table(n=400, seed=5):
    """Answers of two overlapping classes to six questions: a flat optimum."""
    rng = np.random.default_rng(seed)
    p = np.array([[0.6, 0.5, 0.7, 0.4, 0.6, 0.5], [0.4, 0.3, 0.45, 0.6, 0.35, 0.4]])
    return (rng.random((n, 6)) < p[rng.integers(0, 2, n)]).astype(float)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("many", [False, True])
def test_the_best_start_is_where_its_own_path_leads(dtype, many):
    model, x = jaxem.Mixture(jaxem.Bernoulli(), n_components=2), table().astype(dtype)
    options = dict(key=KEY, n_starts=100, tol=1e-6, max_iter=20_000)
    if many:
        best = jaxem.fit_many(model, [x[:50], x], **options)[1].best()
    else:
        best = jaxem.fit(model, x, **options).best()
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), best.params)
    end = jaxem.em(model, wide, x.astype(float), tol=1e-13, max_iter=50_000, accelerate="squarem")
    # float32 writes the likelihood down to 6e-5.
    assert end.log_likelihood - best.log_likelihood < (2e-5 if dtype == np.float64 else 2e-4)
    assert best.status == jaxem.Status.CONVERGED
    short = jaxem.fit(model, x, **{**options, "n_starts": 1}, init=wide, accelerate=None)
    assert short.status[0] in SOUND


def test_one_start_stops_where_it_is_told_to():
    model, x = jaxem.Mixture(jaxem.Bernoulli(), n_components=2), table()
    start = model.init(KEY, x)
    one = jaxem.em(model, start, x, tol=1e-4)
    fit = jaxem.fit(model, x, key=KEY, init=start, n_starts=1, tol=1e-4, accelerate=None)[0]
    assert one.n_iter == fit.n_iter


def test_winners_cost_a_few_lanes(monkeypatch):
    x = clouds(400)
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    fits = jaxem.fit(model, x, key=KEY, n_starts=32, race=False)
    monkeypatch.setattr(winners, "contenders", lambda runs, fits: np.zeros(0, int))
    plain = jaxem.fit(model, x, key=KEY, n_starts=32, race=False)
    more = fits.n_iter - plain.n_iter
    assert 0 < np.count_nonzero(more) <= winners.refine.CONTENDERS
    assert fits.best().objective > plain.best().objective
    others = more == 0
    np.testing.assert_array_equal(fits.objective[others], plain.objective[others])
    np.testing.assert_array_equal(fits.status, plain.status)


def test_who_may_be_the_best():
    value = np.array([-10, -10.5, -np.inf, -10.2, -30, -7, -7.0, -7.1, -7.2, -7.3, -7.4])
    groups = np.repeat([0, 1], [5, 6])
    sizes = np.array([[0.5, 0.5], [0.1, 0.9], [0.2, 0.8], [0.5, 0.5], [0.3, 0.7]]
                     + [[0.1 * i, 1 - 0.1 * i] for i in (1, 1, 2, 3, 4, 5)])  # fmt: skip
    # Of the first set the leader and two others, apart by value; of the second four at most, and
    # not the one that ties with its leader.
    got = refine.contenders(value, groups, 1.0, sizes)
    np.testing.assert_array_equal(got, [0, 1, 3, 5, 7, 8, 9])
    np.testing.assert_array_equal(refine.contenders(value, groups, 0.3, sizes), [0, 3, 5, 7, 8, 9])
    none = refine.contenders(np.full(2, -np.inf), np.zeros(2, int), 1.0, sizes[:2])
    assert none.size == 0


def test_no_lane_is_above_the_one_that_went_on():
    value = np.array([-1000, -999.9999, -990, -1000.2], np.float32)
    status = np.full(4, jaxem.Status.CONVERGED)
    status[2] = jaxem.Status.DEGENERATE
    fits = jaxem.Fit(None, value, value, status, np.zeros(4, int))
    got = refine.below(fits, np.zeros(4, int), np.array([0]))
    assert got.best().objective == value[0] and got.objective[1] < value[0]
    np.testing.assert_array_equal(got.objective[[0, 2, 3]], value[[0, 2, 3]])


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("reg", [1e-3, 0.1])
def test_reg_covar_is_no_reason_to_refuse_a_step(kind, reg):
    x = datasets.load("old_faithful")
    model = jaxem.Mixture(jaxem.Gaussian(kind, reg_covar=reg), n_components=3)
    fits = jaxem.fit(model, x, key=KEY, n_starts=20, tol=1e-9, max_iter=5000)
    assert fits.sound.all() and (fits.status == jaxem.Status.CONVERGED).any()
    # Where it ends is where scikit-learn ends from there.
    best = fits.best().params
    inverse = {
        "full": np.linalg.inv, "tied": np.linalg.inv, "diag": np.reciprocal,
        "spherical": np.reciprocal,
    }[kind](best.covariances)  # fmt: skip
    peer = GaussianMixture(3, covariance_type=kind, reg_covar=reg, tol=0, max_iter=20,
                           weights_init=best.weights, means_init=best.means,
                           precisions_init=inverse)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(x)
    np.testing.assert_allclose(peer.means_, best.means, rtol=1e-3)
    np.testing.assert_allclose(peer.covariances_, best.covariances, rtol=1e-2, atol=1e-3)


def test_fit_many_in_float32_finishes_in_float64_as_fit_does():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(5, 0.003, (50, 2))])
    x = x.astype(np.float32)
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    alone = jaxem.fit(model, x, key=KEY, n_starts=5).best()
    exact = jaxem.fit(model, x.astype(float), key=KEY, n_starts=5).best()
    many = jaxem.fit_many(model, [x[:100], x, x[::2]], key=KEY, n_starts=5).best()
    np.testing.assert_allclose(alone.log_likelihood, exact.log_likelihood, rtol=1e-6)
    np.testing.assert_allclose(many.log_likelihood[1], exact.log_likelihood, rtol=1e-6)
    assert many.params.means.dtype == np.float32
