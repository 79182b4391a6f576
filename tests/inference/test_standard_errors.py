"""Standard errors against closed forms, Louis' formula written out, and a simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.inference import uncertainty

RNG = np.random.default_rng(0)
N = 120
X = RNG.normal(size=(N, 2)) @ np.array([[1.0, 0.5], [0, 40.0]]) + [1e3, 5]
TWO = np.concatenate([RNG.poisson(2.0, (80, 1)), RNG.poisson(9.0, (120, 1))]).astype(float)


def one(family, x):
    """One component at its maximum, and its standard errors."""
    model = jaxem.Mixture(family, n_components=1)
    params = model.seed(x, np.ones((len(x), 1)))
    return params.components, jaxem.standard_errors(model, params, x)


def close(got, want, rtol=1e-6):
    np.testing.assert_allclose(got, np.broadcast_to(want, np.shape(got)), rtol=rtol)


@pytest.fixture(scope="module")
def poisson_pair():
    model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    start = jaxem.MixtureParams(jnp.array([0.4, 0.6]), jaxem.PoissonParams(jnp.array([[2.0], [9]])))
    params = jaxem.em(model, start, TWO, tol=1e-13, max_iter=2000).params
    return model, params, jaxem.standard_errors(model, params, TWO)


@pytest.mark.parametrize("kind", ["full", "tied", "spherical"])
def test_one_gaussian_has_the_textbook_errors(kind):
    own, found = one(jaxem.Gaussian(kind), X)
    s = np.asarray(own.covariances)
    s = s.reshape(2, 2) if kind in ("full", "tied") else s.ravel()
    variances = np.diag(s) if s.ndim == 2 else s
    close(found.means, np.sqrt(variances / N))
    want = np.sqrt((np.outer(variances, variances) + s**2) / N)
    if kind == "spherical":
        want = np.sqrt(2 / (2 * N)) * s
    close(found.covariances, want)
    assert found.weights == [0] and found.covariances.shape == own.covariances.shape


def test_one_component_of_other_families():
    x = np.abs(X[:, 1:]) + 0.1
    own, found = one(jaxem.Exponential(), x)
    close(found.rates, np.asarray(own.rates) / np.sqrt(N))
    own, found = one(jaxem.Binomial(7), np.round(RNG.uniform(0, 7, (N, 1))))
    p = np.asarray(own.probabilities)
    close(found.probabilities, np.sqrt(p * (1 - p) / (7 * N)))


def test_a_category_that_never_occurs_is_held_and_told():
    codes = RNG.integers(0, 3, (N, 1)).astype(float)
    model = jaxem.Mixture(jaxem.Categorical(4), n_components=1)
    params = model.seed(codes, np.ones((N, 1)))
    with pytest.warns(RuntimeWarning, match=r"1 of 5 parameters have no standard error \(NaN\)"):
        found = jaxem.standard_errors(model, params, codes)
    p = np.asarray(params.probabilities)[0, 0, :3]
    close(found.probabilities[0, 0, :3], np.sqrt(p * (1 - p) / N))
    assert np.isnan(found.probabilities[0, 0, 3])


def test_categories_that_a_column_does_not_have_are_no_parameters():
    codes = RNG.integers(0, [2, 4, 1, 3], (N, 4)).astype(float)
    own, found = one(jaxem.Categorical((2, 4, 1, 3)), codes)  # warnings are errors here
    p = np.asarray(own.probabilities)
    want = np.sqrt(p * (1 - p) / N)
    np.testing.assert_allclose(found.probabilities, want, rtol=1e-6)
    assert (found.probabilities[0, 0, 2:] == 0).all() and found.probabilities[0, 2, 0] == 0
    # An absent category beside a present one of probability 0, which has none.
    codes[codes[:, 1] == 3, 1] = 2
    with pytest.warns(RuntimeWarning, match="1 of 17"):
        _, found = one(jaxem.Categorical((2, 4, 1, 3)), codes)
    assert np.isnan(found.probabilities[0, 1, 3])


def test_louis_formula_written_out(poisson_pair):
    """Complete information minus the covariance of the complete score, row by row (Louis 1982)."""
    model, params, found = poisson_pair
    r = np.asarray(model.predict_proba(params, TWO))
    pi, rate = np.asarray(params.weights), np.asarray(params.rates)[:, 0]
    score = np.zeros((len(TWO), 2, 3))  # of (π_0, λ_0, λ_1), given the component
    score[:, 0, 0], score[:, 1, 0] = 1 / pi[0], -1 / pi[1]
    score[:, 0, 1], score[:, 1, 2] = (TWO / rate - 1).T
    second = [r[:, 0] / pi[0] ** 2 + r[:, 1] / pi[1] ** 2, *(r * TWO / rate**2).T]
    mean = np.einsum("nk,nkp->np", r, score)
    missing = np.einsum("nk,nkp,nkq->pq", r, score, score) - mean.T @ mean
    information = np.diag(np.sum(second, axis=1)) - missing
    want = np.sqrt(np.diag(np.linalg.inv(information)))
    close(found.weights, want[0])
    close(found.rates[:, 0], want[1:])


def test_the_spread_of_refitted_samples(poisson_pair):
    model, params, found = poisson_pair

    def again(key):
        return jaxem.em(model, params, model.sample(key, params, len(TWO))[0], tol=1e-8).params

    many = jax.jit(jax.vmap(again))(jax.random.split(jax.random.key(0), 300))
    close(found.weights, np.std(many.weights, axis=0), rtol=0.2)
    close(found.rates, np.std(many.rates, axis=0), rtol=0.2)


def test_weights_are_repeated_rows_and_blocks_do_not_matter(poisson_pair, monkeypatch):
    model, params, found = poisson_pair
    half = jaxem.standard_errors(model, params, TWO, np.full(len(TWO), 4.0))
    close(half.rates, found.rates / 2)
    monkeypatch.setattr(uncertainty, "ENTRIES", 200)
    close(jaxem.standard_errors(model, params, TWO).rates, found.rates, rtol=1e-9)


def test_known_labels_leave_nothing_missing(poisson_pair):
    model, _, _ = poisson_pair
    label = np.repeat([0, 1], [80, 120])
    params = model.seed(TWO, np.eye(2)[label])
    found = jaxem.standard_errors(model, params, TWO, labels=label)
    close(found.weights, np.sqrt(0.4 * 0.6 / 200))
    close(found.rates[:, 0], np.sqrt(np.asarray(params.rates)[:, 0] / [80, 120]))


def test_a_posterior_mode_is_judged_with_its_prior():
    model = jaxem.Mixture(jaxem.Poisson(jaxem.Gamma(3.0, 10.0)), n_components=1)
    params = model.seed(TWO, np.ones((200, 1)))
    found = jaxem.standard_errors(model, params, TWO)
    total = TWO.sum() + 2
    close(found.rates, np.sqrt(total) / 210)


def test_frozen_and_given_parameters_have_no_error():
    own = np.cov(X.T)
    x = np.concatenate([X, X + np.array([9, 0])])
    means = np.stack([X.mean(axis=0), X.mean(axis=0) + np.array([9, 0])])
    params = jaxem.MixtureParams(np.array([0.5, 0.5]), jaxem.GaussianParams(means, own))
    known = jaxem.Mixture(jaxem.Gaussian("known", covariance=own), 2, frozen=("weights",))
    tied = jaxem.Mixture(jaxem.Gaussian("tied"), 2, frozen=("weights", "covariances"))
    for model in (known, tied):
        found = jaxem.standard_errors(model, params, x)
        assert (found.covariances == 0).all() and (found.weights == 0).all()
        close(found.means, np.sqrt(np.diag(own) / N), rtol=0.02)


def test_what_the_data_do_not_determine_is_nan():
    """Two coins of one toss each: only the mean probability is known."""
    model = jaxem.Mixture(jaxem.Bernoulli(), n_components=2)
    x = (np.arange(40) % 4 == 0).astype(float)[:, None]
    own = jaxem.BinomialParams(jnp.array([[0.15], [0.35]]))
    params = jaxem.MixtureParams(jnp.array([0.5, 0.5]), own)
    with pytest.warns(RuntimeWarning, match="4 of 4"):
        found = jaxem.standard_errors(model, params, x)
    assert np.isnan(found.weights).all() and np.isnan(found.probabilities).all()


def test_a_component_that_is_off_has_none(poisson_pair):
    model, params, _ = poisson_pair
    params = jaxem.MixtureParams(jnp.array([1.0, 0.0]), params.components)
    params = jaxem.MixtureParams(params.weights, jaxem.PoissonParams(jnp.full((2, 1), TWO.mean())))
    with pytest.warns(RuntimeWarning, match="3 of 4"):
        found = jaxem.standard_errors(model, params, TWO)
    close(found.rates[0], np.sqrt(TWO.mean() / 200))


def test_float32_parameters_and_default_are_judged_in_float64(poisson_pair):
    model, params, want = poisson_pair
    low = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)
    with jax.enable_x64(False):
        found = jaxem.standard_errors(model, low, TWO.astype(np.float32))
    assert isinstance(found.rates, np.ndarray) and found.rates.dtype == np.float64
    close(found.rates, want.rates, rtol=1e-5)


def test_what_cannot_be_judged(poisson_pair):
    model, params, _ = poisson_pair
    lanes = jax.tree.map(lambda leaf: leaf[None], params)
    with pytest.raises(ValueError, match=r"the parameters of one fit.* got .*weights=\(1, 2\)"):
        jaxem.standard_errors(model, lanes, TWO)
    with pytest.warns(FutureWarning, match="assignment= of a Mixture"):
        hard = jaxem.Mixture(jaxem.Poisson(), n_components=2, assignment="hard")
    with pytest.raises(ValueError, match="assignment='soft'"):
        jaxem.standard_errors(hard, params, TWO)
    best = jaxem.fit(model, TWO, key=0, n_starts=2, assignment="hard").best()
    with pytest.raises(ValueError, match="assignment='soft'"):
        best.standard_errors(TWO)
    with pytest.raises(ValueError, match="x has NaN"):
        jaxem.standard_errors(model, params, TWO * np.nan)
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        jaxem.standard_errors(model, params, TWO, np.ones(3))
