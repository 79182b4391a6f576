"""Laws of Gaussians alone: changes of units, and models that contain one another."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, COVARIANCES

import jaxem

ANGLE = 0.7
ROTATION = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
SHIFT = np.array([3.0, -7.0])
ANY = np.array([[2.0, 0.7], [-0.4, 0.3]])
MAPS = [
    ("full", ANY),
    ("tied", ANY),
    ("known", ANY),
    ("diag", np.diag([3.0, 0.01])),
    ("spherical", 5.0 * ROTATION),
]


def em(model, params, x, max_iter, **options):
    """One program for the whole file whatever max_iter is."""
    return jaxem.em(model, params, x, max_iter=max_iter, trace=40, **options)


def _mapped(params, a, shift=SHIFT):
    """The parameters of A x + b."""
    v = np.asarray(params.covariances)
    if v.shape[-2:] == (2, 2) and v.ndim >= 2 and not (v.ndim == 2 and v.shape[0] == 3):
        v = a @ np.asarray(v) @ a.T
    elif v.ndim == 2:
        v = v * np.diag(a)[None] ** 2
    else:
        v = v * np.linalg.det(a)
    means = np.asarray(params.means) @ a.T + shift[None]
    return jaxem.MixtureParams(
        params.weights, jaxem.GaussianParams(jnp.asarray(means), jnp.asarray(v))
    )


@pytest.mark.parametrize("kind, a", MAPS, ids=[kind for kind, _ in MAPS])
def test_a_change_of_units_changes_nothing_else(kind, a):
    case = CASES[kind]
    x, start = case.data(256), case.truth
    model = case.model
    if kind == "known":
        moved = jaxem.Gaussian("known", covariance=a @ COVARIANCES["known"] @ a.T)
        model = dataclasses.replace(model, family=moved)
    one = em(case.model, start, x, 8, tol=0.0, **case.settings)
    two = em(model, _mapped(start, a), x @ a.T + SHIFT, 8, tol=0.0)
    assert one.n_iter == two.n_iter == 8
    chex.assert_trees_all_close(two.params, _mapped(one.params, a), rtol=1e-7, atol=1e-9)
    jacobian = len(x) * np.log(abs(np.linalg.det(a)))
    np.testing.assert_allclose(two.log_likelihood, one.log_likelihood - jacobian, rtol=1e-10)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("init", ["k-means++", "random_from_data"])
def test_fit_does_not_care_about_units(kind, init):
    # Powers of two, so that the standardised data are the same to the last bit.
    case = CASES[kind]
    a = np.diag([8.0, 8.0]) if kind == "spherical" else np.diag([1024.0, 0.0625])
    x = np.round(case.data(256) * 64) / 64
    options = dict(key=jax.random.key(2), n_starts=3, init=init)
    one = jaxem.fit(case.model, x, **options, **case.settings)
    two = jaxem.fit(case.model, x @ a, **options, **case.settings)
    np.testing.assert_array_equal(one.n_iter, two.n_iter)
    for lane in range(3):
        want = _mapped(one[lane].params, a, shift=0 * SHIFT)
        chex.assert_trees_all_close(two[lane].params, want, rtol=1e-9, atol=1e-9)
    jacobian = len(x) * np.log(np.linalg.det(a))
    np.testing.assert_allclose(two.log_likelihood, one.log_likelihood - jacobian, rtol=1e-9)


def _as(kind, params):
    """The same density with the covariances of a larger family."""
    k, d = params.means.shape
    v = params.covariances
    if kind == "diag":
        v = jnp.broadcast_to(v[:, None], (k, d))
    elif kind == "full":
        v = v[:, :, None] * jnp.eye(d)[None] if v.shape == (k, d) else jnp.stack([v] * k)
    return jaxem.MixtureParams(params.weights, jaxem.GaussianParams(params.means, v))


@pytest.mark.parametrize("chain", [("spherical", "diag", "full"), ("known", "tied", "full")])
def test_a_larger_model_is_never_less_likely(chain):
    # Spherical is not inside tied: its variances differ between components.
    x = CASES["full"].data(256)
    fit = em(CASES[chain[0]].model, CASES[chain[0]].truth, x, 40, tol=1e-9)
    for kind in chain[1:]:
        model, start = CASES[kind].model, _as(kind, fit.params)
        np.testing.assert_allclose(model.log_prob(start, x).sum(), fit.log_likelihood, rtol=1e-10)
        larger = em(model, start, x, 40, tol=1e-9)
        assert larger.log_likelihood > fit.log_likelihood + 1
        fit = larger


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_one_more_component_is_never_less_likely(kind):
    x = CASES["full"].data(256)
    shared = kind == "tied"
    one = jaxem.Mixture(CASES[kind].model.family, n_components=2)
    truth = CASES[kind].truth
    take = lambda index: jaxem.GaussianParams(  # noqa: E731
        truth.means[index], truth.covariances if shared else truth.covariances[index]
    )
    fit = em(one, jaxem.MixtureParams(jnp.asarray([0.5, 0.5]), take(np.array([0, 1]))), x, 40)
    # The last component split in two is the same density; from there, apart and uphill.
    p, twice = fit.params, np.array([0, 1, 1])
    weights = p.weights[twice] * jnp.asarray([1.0, 0.5, 0.5])
    v = p.covariances if shared else p.covariances[twice]
    same = jaxem.MixtureParams(weights, jaxem.GaussianParams(p.means[twice], v))
    model = CASES[kind].model
    np.testing.assert_allclose(model.log_prob(same, x).sum(), fit.log_likelihood, rtol=1e-10)
    apart = p.means[twice] + jnp.asarray([0.0, 1.5, -1.5])[:, None]
    start = jaxem.MixtureParams(weights, jaxem.GaussianParams(apart, v))
    assert em(model, start, x, 40, tol=1e-9).log_likelihood > fit.log_likelihood


def test_tied_equals_full_with_one_component():
    x = CASES["full"].data(256)
    r = np.ones((256, 1))
    a, b = [jaxem.Mixture(jaxem.Gaussian(kind), n_components=1) for kind in ("full", "tied")]
    one, two = a.seed(x, r), b.seed(x, r)
    np.testing.assert_allclose(one.covariances[0], two.covariances, rtol=1e-10)
    np.testing.assert_allclose(two.covariances, np.cov(x.T, bias=True), rtol=1e-10)
    np.testing.assert_allclose(a.log_prob(one, x), b.log_prob(two, x), rtol=1e-10)


@pytest.mark.parametrize(
    "code, kind", [("VVV", "full"), ("EEE", "tied"), ("VVI", "diag"), ("VII", "spherical")]
)
def test_mclust_codes_are_aliases(code, kind):
    assert type(jaxem.Gaussian(code)) is type(jaxem.Gaussian(kind))
