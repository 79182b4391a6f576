"""Whole fits: scikit-learn's numbers iteration by iteration, classical records, invariances."""

import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import jaxem
from jaxem import Status, datasets

TYPES = ["full", "tied", "diag", "spherical"]


def _mixture(covariance_type, k, **options):
    return jaxem.Mixture(jaxem.Gaussian(covariance_type, **options), n_components=k)


def _blobs(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.normal(m, s, size=(n // 3, 2)) for m, s in [(0, 1), (3, 0.5), (6, 2)]]
    )


@pytest.mark.laws
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("n_iter", [1, 2, 7])
def test_em_equals_sklearn_iteration_by_iteration(covariance_type, n_iter):
    x, reg = _blobs(), 1e-6
    label = jnp.asarray(np.arange(len(x)) * 3 // len(x))
    model = _mixture(covariance_type, 3, reg_covar=reg)
    start = model.seed(x, jax.nn.one_hot((label + (jnp.arange(len(x)) % 5 == 0)) % 3, 3))
    covariances = np.asarray(start.covariances)
    inverse = np.linalg.inv(covariances) if covariance_type in ("full", "tied") else 1 / covariances
    peer = GaussianMixture(
        3,
        covariance_type=covariance_type,
        tol=0,
        reg_covar=reg,
        max_iter=n_iter,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=inverse,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer.fit(x)
    ours = jaxem.em(model, start, x, tol=0.0, max_iter=n_iter)
    np.testing.assert_allclose(ours.params.weights, peer.weights_, atol=1e-9)
    np.testing.assert_allclose(ours.params.means, peer.means_, atol=1e-9)
    np.testing.assert_allclose(ours.params.covariances, peer.covariances_, atol=1e-9)
    np.testing.assert_allclose(ours.log_likelihood, peer.score(x) * len(x), rtol=1e-12)
    np.testing.assert_allclose(
        model.predict_proba(ours.params, x), peer.predict_proba(x), atol=1e-9
    )
    assert model.n_parameters(2) == peer._n_parameters()


@pytest.mark.parametrize(
    "name, covariance_type, k, record",
    [
        ("old_faithful", "full", 2, -1130.264),
        ("old_faithful", "tied", 3, -1126.316),
        ("galaxies", "full", 3, -203.179),
        ("diabetes", "full", 1, -2540.664),
        ("diabetes", "full", 2, -2343.012),
        ("diabetes", "full", 3, -2295.093),
    ],
)
def test_classical_records_are_reached(name, covariance_type, k, record):
    fits = jaxem.fit(
        _mixture(covariance_type, k),
        datasets.load(name),
        key=jax.random.key(0),
        n_starts=100,
        tol=1e-8,
        max_iter=1000,
    )
    assert fits.best().log_likelihood > record - 1e-3


def test_float32_far_from_the_origin_fits_as_if_centred():
    x = (_blobs() * 1000).astype(np.float32)
    far = (x + np.float32(1e6)).astype(np.float32)
    centred = (far - np.float32(1e6)).astype(np.float32)
    model, same = _mixture("full", 3), dict(key=jax.random.key(0), n_starts=4)
    a = jaxem.fit(model, centred, tol=0.0, max_iter=20, **same).best()
    b = jaxem.fit(model, far, tol=0.0, max_iter=20, **same).best()
    assert b.params.means.dtype == np.float32
    np.testing.assert_allclose(b.params.means - np.float32(1e6), a.params.means, atol=0.1)
    np.testing.assert_allclose(b.params.covariances, a.params.covariances, rtol=1e-4, atol=100)


def test_vmap_over_starts_and_weights_equals_one_at_a_time():
    x = _blobs(90)
    model = _mixture("full", 2)
    keys = jax.random.split(jax.random.key(0), 3)
    starts = jax.jit(jax.vmap(lambda key: model.init(key, x)))(keys)
    weights = jax.random.uniform(jax.random.key(1), (3, len(x)))
    run = jax.jit(lambda p, w: jaxem.em(model, p, x, sample_weight=w, max_iter=30))
    together = jax.jit(jax.vmap(run))(starts, weights)
    for i in range(3):
        alone = run(jax.tree.map(lambda leaf, i=i: leaf[i], starts), weights[i])
        chex.assert_trees_all_close(together[i], alone, rtol=1e-8)


@pytest.mark.parametrize("stop", ["log_likelihood", "relative", "aitken", "parameters", "q"])
def test_every_stopping_rule_stops_at_the_same_optimum(stop):
    x = _blobs()
    model = _mixture("full", 3)
    params = jax.jit(lambda key: model.init(key, x))(jax.random.key(0))
    fit = jaxem.em(model, params, x, tol=1e-7, max_iter=2000, stop=stop)
    tight = jaxem.em(model, params, x, tol=1e-13, max_iter=5000)
    assert fit.status == Status.CONVERGED
    np.testing.assert_allclose(fit.log_likelihood, tight.log_likelihood, rtol=1e-5)


def test_known_rows_keep_their_component():
    x = _blobs()
    labels = np.where(np.arange(len(x)) % 10 == 0, np.arange(len(x)) * 3 // len(x), -1)
    fit = jaxem.fit(_mixture("full", 3), x, key=jax.random.key(0), n_starts=8, labels=labels).best()
    assert fit.status == Status.CONVERGED
    model = _mixture("full", 3)
    joint = np.asarray(model.log_joint(fit.params, x))
    own = np.where(
        labels >= 0, joint[np.arange(len(x)), labels], np.logaddexp.reduce(joint, axis=1)
    )
    np.testing.assert_allclose(own.sum(), fit.log_likelihood, rtol=1e-10)
