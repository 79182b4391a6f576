"""The textbook examples against the printed numbers, SciPy, and the well-known wrong variants."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import jaxem
from jaxem.demo import coins, gaussians_1d, gaussians_2d, three_coins
from jaxem.demo.example import iterations

pytestmark = pytest.mark.laws
e_step = jax.jit(jaxem.Mixture.e_step)


def test_known_coins():
    params = coins.model().seed(coins.HEADS, jax.nn.one_hot(jnp.asarray(coins.COIN), 2))
    np.testing.assert_allclose(params.probabilities[:, 0], [24 / 30, 9 / 20], rtol=1e-12)


def test_hard_assignment_reaches_the_known_coins_in_one_iteration():
    hard = iterations(coins.model(), coins.start(), coins.HEADS, tol=1e-9, assignment="hard")
    fits = list(hard)
    for fit in fits[1:]:
        np.testing.assert_allclose(fit.params.probabilities[:, 0], [0.8, 0.45], rtol=1e-12)
    assert fits[-1].status == jaxem.Status.CONVERGED


def test_soft_coins_after_one_iteration_and_at_convergence():
    model, start = coins.model(), coins.start()
    heads_and_tails = [[21.3, 8.6], [11.7, 8.4]]
    r = model.predict_proba(start, coins.HEADS)
    np.testing.assert_allclose(coins.expected(r), heads_and_tails, atol=0.05)
    stats, _ = e_step(model, start, coins.HEADS)
    np.testing.assert_allclose(stats.moments[:, 1:], heads_and_tails, atol=0.05)
    one = model.m_step(stats, start)
    np.testing.assert_allclose(one.probabilities[:, 0], [0.71, 0.58], atol=0.005)
    fit = jaxem.em(model, start, coins.HEADS, tol=1e-10)
    np.testing.assert_allclose(fit.params.probabilities[:, 0], [0.80, 0.52], atol=0.005)
    np.testing.assert_array_equal(fit.params.weights, [0.5, 0.5])


def test_a_beta_prior_gives_the_posterior_mode():
    model = jaxem.Mixture(jaxem.Binomial(10, jaxem.Beta(3.0, 2.0)), n_components=1)
    params = model.seed(coins.HEADS, jnp.ones((5, 1)))
    np.testing.assert_allclose(params.probabilities[0, 0], (33 + 2) / (50 + 3), rtol=1e-12)


@pytest.mark.parametrize(
    "start, end",
    [((0.5, 0.5, 0.5), (0.5, 0.6, 0.6)), ((0.4, 0.6, 0.7), (0.4064, 0.5368, 0.6432))],
)
def test_three_coins(start, end):
    fit = jaxem.em(three_coins.model(), three_coins.start(*start), three_coins.TOSSES, tol=1e-10)
    np.testing.assert_allclose(three_coins.triple(fit.params), end, atol=5e-5)


def _density(x, weights, means, sds):
    return scipy.stats.norm.pdf(x, means, sds) @ np.asarray(weights)


def test_the_density_divides_by_the_sd_and_halves_the_square():
    truth, x = gaussians_1d.truth(), np.linspace(-6, 6, 1201)[:, None]
    weights, means, sds = gaussians_1d.flat(truth).reshape(3, 2)
    ours = np.exp(gaussians_1d.model().log_prob(truth, x))
    np.testing.assert_allclose(ours, _density(x, weights, means, sds), rtol=1e-10)
    z = (x - means) / sds
    by_variance = np.exp(-(z**2) / 2) / (np.sqrt(2 * np.pi) * sds**2) @ weights
    no_half = np.exp(-(z**2)) / (np.sqrt(2 * np.pi) * sds) @ weights
    step = x[1, 0] - x[0, 0]
    assert abs(ours.sum() * step - 1) < 1e-6
    for wrong in (by_variance, no_half):
        assert abs(wrong.sum() * step - 1) > 0.2 and np.abs(ours - wrong).max() > 0.05


def test_the_planar_density_has_its_half_and_its_determinant():
    x, truth = gaussians_2d.sample(50)[0], gaussians_2d.truth()
    parts = [
        w * scipy.stats.multivariate_normal.pdf(x, mean, 30 * np.eye(2))
        for w, mean in zip(gaussians_2d.WEIGHTS, gaussians_2d.MEANS, strict=True)
    ]
    got = gaussians_2d.model().log_prob(truth, x)
    np.testing.assert_allclose(got, np.log(np.sum(parts, axis=0)), rtol=1e-9)


def test_the_variance_is_taken_around_the_new_mean():
    model, start, x = gaussians_1d.model(), gaussians_1d.start(), gaussians_1d.sample()
    r = np.asarray(model.predict_proba(start, x))
    stats, _ = e_step(model, start, x)
    new = model.m_step(stats, start)
    means = r.T @ x[:, 0] / r.sum(axis=0)
    np.testing.assert_allclose(new.means[:, 0], means, rtol=1e-10)
    around = lambda m: np.sum(r * (x - np.asarray(m)) ** 2, axis=0) / r.sum(axis=0)  # noqa: E731
    np.testing.assert_allclose(new.covariances[:, 0, 0], around(means), rtol=1e-10)
    old = around(start.means[:, 0])
    assert (old / new.covariances[:, 0, 0] > 1.02).all()
    wrong = jaxem.MixtureParams(
        new.weights, jaxem.GaussianParams(new.means, jnp.asarray(old)[:, None, None])
    )
    assert e_step(model, new, x)[1] > e_step(model, wrong, x)[1] + 1


def test_samples_have_the_weights_that_were_asked_for():
    n = 20_000
    for example, weights in ((gaussians_1d, (0.3, 0.7)), (gaussians_2d, gaussians_2d.WEIGHTS)):
        _, label = example.model().sample(jax.random.key(3), example.truth(), n)
        counts = np.bincount(label, minlength=len(weights))
        assert scipy.stats.chisquare(counts, n * np.asarray(weights)).pvalue > 1e-3
    # The copy that draws a fresh number for every `elif` gives these instead.
    redrawn = np.array([0.1, 0.9 * 0.2, 0.9 * 0.8 * 0.3, 0.9 * 0.8 * 0.7])
    assert scipy.stats.chisquare(counts, n * redrawn).pvalue < 1e-12


def _scipy_maximum(x, begin):
    """(weights, means, sds) that maximise the plain log-likelihood, by BFGS from `begin`."""

    def unpack(theta):
        weight = 1 / (1 + np.exp(-theta[0]))
        return np.array([weight, 1 - weight]), theta[1:3], np.exp(theta[3:])

    def loss(theta):
        return -np.mean(np.log(_density(x, *unpack(theta))))

    options = {"gtol": 1e-9, "maxiter": 2000}
    found = scipy.optimize.minimize(loss, begin, jac="3-point", method="BFGS", options=options)
    assert np.abs(found.jac).max() < 1e-8, found.message
    return np.concatenate(unpack(found.x)), -found.fun * len(x)


def test_two_gaussians_on_a_line_agree_with_scipy():
    x = gaussians_1d.sample()
    fit = jaxem.em(
        gaussians_1d.model(), gaussians_1d.start(), x, stop="parameters", tol=1e-10, max_iter=2000
    )
    assert fit.status == jaxem.Status.CONVERGED
    want, likelihood = _scipy_maximum(x, [0.0, 0.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(gaussians_1d.flat(fit.params), want, atol=1e-6, rtol=0)
    np.testing.assert_allclose(fit.log_likelihood, likelihood, rtol=1e-10)
    np.testing.assert_allclose(want, gaussians_1d.flat(gaussians_1d.truth()), atol=0.15)


def test_four_gaussians_in_the_plane_stop_when_means_and_weights_rest():
    x, label = gaussians_2d.sample()
    model = gaussians_2d.model()
    fits = list(iterations(model, model.init(jax.random.key(104), x), x, tol=1e-3))
    moves = [
        np.sqrt(np.sum((b.params.means - a.params.means) ** 2)
                + np.sum((b.params.weights - a.params.weights) ** 2))
        for a, b in pairwise(fits)
    ]  # fmt: skip
    assert moves[-1] < 1e-3 <= min(moves[:-1])
    one = jaxem.em(model, fits[0].params, x, stop="parameters", tol=1e-3)
    assert int(one.n_iter) == len(moves)
    np.testing.assert_allclose(one.params.means, fits[-1].params.means, rtol=1e-10)
    np.testing.assert_array_equal(one.params.covariances, 30 * np.eye(2))
    own = [x[label == k].mean(axis=0) for k in range(4)]
    gap = np.linalg.norm(np.asarray(one.params.means)[:, None] - own, axis=2)
    assert sorted(gap.argmin(axis=1)) == [0, 1, 2, 3] and gap.min(axis=1).max() < 1.0
    assert model.n_parameters(2) == 8 + 3
