"""The coins and other counts, against the numbers printed in the textbooks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxem

HEADS = np.array([[5.0], [9.0], [8.0], [4.0], [7.0]])
THREE = np.array([[1.0], [1], [0], [1], [0], [0], [1], [0], [1], [1]])


def _params(weights, probabilities):
    components = jaxem.BinomialParams(jnp.asarray(probabilities)[:, None])
    return jaxem.MixtureParams(jnp.asarray(weights), components)


def _coins(assignment="soft"):
    family = jaxem.Binomial(10)
    return jaxem.Mixture(family, n_components=2, assignment=assignment, frozen=("weights",))


def test_known_coins():
    r = jax.nn.one_hot(jnp.asarray([1, 0, 0, 1, 0]), 2)
    params = _coins().seed(HEADS, r)
    np.testing.assert_allclose(params.probabilities[:, 0], [24 / 30, 9 / 20], rtol=1e-12)


def test_hard_assignment_reaches_the_known_coins():
    fit = jaxem.em(_coins("hard"), _params([0.5, 0.5], [0.6, 0.5]), HEADS)
    np.testing.assert_allclose(fit.params.probabilities[:, 0], [0.8, 0.45], rtol=1e-12)
    assert fit.status == jaxem.Status.CONVERGED


def test_soft_coins_after_one_iteration_and_at_convergence():
    model, start = _coins(), _params([0.5, 0.5], [0.6, 0.5])
    stats, _ = model.e_step(start, HEADS)
    np.testing.assert_allclose(stats.moments[:, 1:], [[21.3, 8.6], [11.7, 8.4]], atol=0.05)
    one = model.m_step(stats, start)
    np.testing.assert_allclose(one.probabilities[:, 0], [0.71, 0.58], atol=0.005)
    fit = jaxem.em(model, start, HEADS, tol=1e-10)
    np.testing.assert_allclose(fit.params.probabilities[:, 0], [0.80, 0.52], atol=0.005)


@pytest.mark.parametrize(
    "start, end",
    [((0.5, 0.5, 0.5), (0.5, 0.6, 0.6)), ((0.4, 0.6, 0.7), (0.4064, 0.5368, 0.6432))],
)
def test_three_coins(start, end):
    model = jaxem.Mixture(jaxem.Bernoulli(), n_components=2)
    fit = jaxem.em(model, _params([start[0], 1 - start[0]], start[1:]), THREE, tol=1e-10)
    got = [fit.params.weights[0], *fit.params.probabilities[:, 0]]
    np.testing.assert_allclose(got, end, atol=5e-5)


def test_a_beta_prior_gives_the_posterior_mode():
    model = jaxem.Mixture(jaxem.Binomial(10, jaxem.Beta(3.0, 2.0)), n_components=1)
    params = model.seed(HEADS, jnp.ones((5, 1)))
    np.testing.assert_allclose(params.probabilities[0, 0], (33 + 2) / (50 + 3), rtol=1e-12)


def test_log_densities_equal_scipy():
    p, weights = np.array([0.0, 0.3]), [0.25, 0.75]
    binomial = jaxem.Mixture(jaxem.Binomial(10), n_components=2)
    want = np.log(scipy.stats.binom.pmf(HEADS, 10, p) @ weights)
    got = binomial.log_prob(_params(weights, p), HEADS)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    rates = np.array([2.0, 7.0])
    poisson = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    params = jaxem.MixtureParams(jnp.asarray(weights), jaxem.PoissonParams(rates[:, None]))
    want = np.log(scipy.stats.poisson.pmf(HEADS, rates) @ weights)
    np.testing.assert_allclose(poisson.log_prob(params, HEADS), want, rtol=1e-9)


def test_sampled_counts_are_recovered():
    model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    rates = jnp.asarray([[2.0, 9.0], [12.0, 1.0]])
    truth = jaxem.MixtureParams(jnp.asarray([0.3, 0.7]), jaxem.PoissonParams(rates))
    x, _ = model.sample(jax.random.key(0), truth, 4000)
    best = jaxem.fit(model, x, key=jax.random.key(1), n_starts=4).best().params
    order = np.argsort(best.weights)
    np.testing.assert_allclose(best.weights[order], [0.3, 0.7], atol=0.03)
    np.testing.assert_allclose(best.rates[order], rates, rtol=0.1)


@pytest.mark.parametrize("value", [-1.0, 11.0, 0.5])
def test_impossible_counts_are_refused(value):
    x = HEADS.copy()
    x[2, 0] = value
    with pytest.raises(ValueError, match="row 2"):
        jaxem.fit(_coins(), x, key=jax.random.key(0))
