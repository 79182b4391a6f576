"""Categorical columns with numbers of categories of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from cases import CASES

import jaxem
from jaxem.families import levels

LEVELS = (2, 4, 3)
KEY = jax.random.key(0)
_rng = np.random.default_rng(3)
_label = np.repeat([0, 1], [90, 60])[:, None]
X = np.where(_rng.random((150, 3)) < 0.7, _label * (np.array(LEVELS) - 1), _rng.integers(0, LEVELS))


def fitted(n_categories, prior=None, **options):
    model = jaxem.Mixture(jaxem.Categorical(n_categories, prior), n_components=2)
    return model, jaxem.fit(model, X, key=KEY, n_starts=4, tol=1e-10, **options).best()


def test_parameters_by_hand():
    model = jaxem.Mixture(jaxem.Categorical(LEVELS), n_components=2)
    assert model.n_parameters(3) == 1 + 2 * (1 + 3 + 2)
    frozen = jaxem.Mixture(model.family, n_components=2, frozen=("probabilities",))
    assert frozen.n_parameters(3) == 1
    _, best = fitted(LEVELS)
    found = jaxem.criteria(model, best, X)
    want = 13 * np.log(150) - 2 * float(best.log_likelihood)
    assert found.n_parameters == 13 and found.bic == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("kernel", ["blocked", "fused"])
def test_the_fit_is_that_of_as_many_categories_for_all_with_fewer_parameters(kernel):
    model, best = fitted(LEVELS, kernel=kernel)
    alike, other = fitted(4)
    np.testing.assert_allclose(best.log_likelihood, other.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(best.params.probabilities, other.params.probabilities, atol=1e-4)
    assert (model.n_parameters(3), alike.n_parameters(3)) == (13, 19)


def test_equal_numbers_are_one_number():
    _, one = fitted(4, jaxem.Dirichlet(2.0))
    _, other = fitted((4, 4, 4), jaxem.Dirichlet(2.0))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("prior", [None, jaxem.Dirichlet(2.0)])
def test_categories_that_are_absent_are_exactly_zero(prior):
    absent = np.arange(4)[None] >= np.array(LEVELS)[:, None]
    model, best = fitted(LEVELS, prior)
    family = model.family
    blank = family.blank(2, 3, np.float32).probabilities
    assert blank.dtype == np.float32
    np.testing.assert_allclose(blank.sum(axis=2), 1, rtol=1e-6)
    stats, _ = model.e_step(best.params, X)
    kept = model.retract(best.params), family.maximize(stats, best.params.components)
    for p in (blank, *(one.probabilities for one in kept), best.params.probabilities):
        assert (np.asarray(p)[:, absent] == 0).all()
    assert np.isfinite(family.coefficients(best.params.components)).all()
    slope = jax.grad(lambda p: jnp.sum(model.log_prob(p, X)) + model.log_prior(p))(best.params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    drawn = np.asarray(model.sample(KEY, best.params, 2000)[0])
    assert drawn.max(axis=0).tolist() == [1, 3, 2]
    # What is not validated has no density, rather than somebody else's.
    assert model.log_prob(best.params, np.array([[2.0, 0, 0]]))[0] < -1e20


def test_the_prior_is_of_the_categories_there_are():
    case = CASES["categorical-levels-map"]
    p = np.asarray(case.truth.probabilities)
    own = zip((2, 4, 3, 2, 3), np.moveaxis(p, 1, 0), strict=True)
    want = sum(
        scipy.stats.dirichlet(np.full(c, 2.0)).logpdf(row[:c]) for c, rows in own for row in rows
    )
    np.testing.assert_allclose(case.model.log_prior(case.truth), want, rtol=1e-12)


def test_any_sequence_is_a_hashable_tuple():
    for own in ([2, 4, 3], np.array(LEVELS), (np.int64(2), 4, 3)):
        family = jaxem.Categorical(own)
        assert family == jaxem.Categorical(LEVELS) and hash(family.n_categories)
        assert repr(family) == "Categorical(n_categories=(2, 4, 3))"


def test_what_data_show():
    assert levels.shown(X) == LEVELS and levels.shown(X[:, :1]) == 2
    assert levels.shown(np.zeros((3, 2))) == 1


def test_a_file_keeps_them(tmp_path):
    model, best = fitted(LEVELS)
    jaxem.save(tmp_path / "one.npz", (model, best))
    again, got = jaxem.load(tmp_path / "one.npz")
    assert again == model and again.family.n_categories == LEVELS
    np.testing.assert_array_equal(got.params.probabilities, best.params.probabilities)


def test_a_column_of_a_single_category_tells_nothing():
    model = jaxem.Mixture(jaxem.Categorical((2, 4, 3, 1)), n_components=2)
    fits = jaxem.fit(model, np.c_[X, np.zeros(150)], key=KEY, n_starts=4, tol=1e-10)
    np.testing.assert_allclose(
        fits.best().log_likelihood, fitted(LEVELS)[1].log_likelihood, rtol=1e-9
    )
    assert model.n_parameters(4) == 13
