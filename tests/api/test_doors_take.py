"""What the doors take and give beside arrays: `Data`, labels, old words, Ctrl-C, a fit's model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits
from problems import clouds, mixture

import jaxem
from jaxem import Status
from jaxem.batch import lanes

KEY, X = jax.random.key(2), clouds(200)
WEIGHT = np.random.default_rng(0).uniform(0.5, 2.0, len(X))
LABEL = np.where(np.arange(len(X)) % 5 == 0, np.argmin(X @ np.ones(2)) % 3, -1)


def fit(x=X, model=None, **options):
    given = dict(key=KEY, n_starts=4, max_iter=30)
    return jaxem.fit(model or mixture(), x, **(given | options))


# Data and labels --------------------------------------------------------------------------------


def test_data_says_what_arrays_and_keywords_say():
    want = fit(sample_weight=WEIGHT, labels=LABEL)
    data = jaxem.Data(jnp.asarray(X), jnp.asarray(WEIGHT), jnp.asarray(LABEL))
    assert_same_bits(fit(data), want)
    with pytest.raises(ValueError, match="x is Data, which has its own weight"):
        fit(data, labels=LABEL)


def test_labels_of_many_data_sets():
    sets, weights, labels = [X, X[:120]], [WEIGHT, WEIGHT[:120]], [LABEL, LABEL[:120]]
    options = dict(key=KEY, n_starts=2, init=fit(max_iter=0)[0].params, max_iter=25)
    many = jaxem.fit_many(mixture(), sets, sample_weight=weights, labels=labels, **options)
    for i in range(2):
        one = jaxem.fit(mixture(), sets[i], sample_weight=weights[i], labels=labels[i], **options)
        np.testing.assert_allclose(many.objective[i], one.objective, rtol=1e-10)
        free = jaxem.fit(mixture(), sets[i], sample_weight=weights[i], **options)
        assert abs(free.objective[0] - one.objective[0]) > 1
    given = [
        jaxem.Data(*map(jnp.asarray, parts)) for parts in zip(sets, weights, labels, strict=True)
    ]
    assert_same_bits(jaxem.fit_many(mixture(), given, **options), many)
    groups = np.repeat([0, 1], [200, 120])
    flat = dict(sample_weight=np.concatenate(weights), labels=np.concatenate(labels))
    again = jaxem.fit_many(mixture(), np.concatenate(sets), groups=groups, **flat, **options)
    assert_same_bits(again, many)


def test_labels_that_do_not_go_with_the_data_sets():
    with pytest.raises(ValueError, match="labels must hold one array per data set"):
        jaxem.fit_many(mixture(), [X, X], key=KEY, labels=[LABEL])
    with pytest.raises(ValueError, match=r"labels\[1\] must have shape \(200,\)"):
        jaxem.fit_many(mixture(), [X, X], key=KEY, labels=[LABEL, LABEL[:7]])


# Starts -----------------------------------------------------------------------------------------


def test_a_batch_of_given_starts():
    starts = fit(max_iter=0).params
    options = dict(accelerate=None, tol=1e-7, max_iter=200)
    batch = fit(init=starts, n_starts=None, **options)
    assert batch.status.shape == (4,)
    for i in range(4):
        one = jaxem.em(mixture(), jax.tree.map(lambda leaf, i=i: leaf[i], starts), X, tol=1e-7)
        # The best of several runs on a little.
        np.testing.assert_allclose(batch.objective[i], one.objective, rtol=1e-6)
    with pytest.raises(ValueError, match="init gives 4 starts, and n_starts=3"):
        fit(init=starts, n_starts=3)
    with pytest.raises(ValueError, match="init has parameters of shapes"):
        fit(init=jax.tree.map(lambda leaf: leaf[None], starts))
    wrong = dataclasses.replace(starts, weights=starts.weights * 2)
    with pytest.raises(ValueError, match="weights must sum to 1"):
        fit(init=wrong, n_starts=None)


# Ctrl-C -----------------------------------------------------------------------------------------


def interrupted_at(patch, call):
    real, calls = lanes.advance, []

    def advance(*args):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args)

    patch.setattr(lanes, "advance", advance)
    return calls


def test_ctrl_c_ends_a_sweep_and_keeps_what_is_finished(monkeypatch):
    options = dict(key=KEY, n_starts=4, max_iter=20)
    calls = interrupted_at(monkeypatch, 10**9)
    whole = jaxem.sweep(X, (1, 2, 3), **options)
    each = len(calls)
    assert not whole.report.interrupted and len(whole.rows) == 3
    interrupted_at(monkeypatch, each // 3 + 1)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        some = jaxem.sweep(X, (1, 2, 3), **options)
    assert some.report.interrupted and 1 <= len(some.rows) < 3
    assert some.rows[0].criteria.bic == whole.rows[0].criteria.bic
    assert some.rows[-1].fits.report.interrupted or (some.rows[-1].fits.status >= 0).all()


# How it is computed is no part of the model -----------------------------------------------------


@pytest.mark.parametrize("old", [dict(assignment="hard"), dict(exponent=0.6)])
def test_settings_of_a_mixture_go_on_working(old):
    with pytest.warns(FutureWarning, match="of a Mixture is deprecated"):
        model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3, **old)
    assert_same_bits(fit(model=model), fit(**old))
    start = fit(max_iter=0)[0].params
    one, other = jaxem.em(model, start, X), jaxem.em(mixture(), start, X, **old)
    np.testing.assert_array_equal(one.objective, other.objective)
    got, want = model.e_step(start, X)[0], mixture().e_step(start, X, **old)[0]
    np.testing.assert_array_equal(got.moments, want.moments)


def test_a_temperature_is_traced_and_scheduled():
    start = fit(max_iter=0)[0].params
    run = jax.jit(lambda params, b: jaxem.em(mixture(), params, X, exponent=b, max_iter=20).params)
    params = run(start, 0.7)
    compiled = run._cache_size()
    for b in (0.8, 0.9, 1.0):
        params = run(params, b)
    assert run._cache_size() <= compiled + 1  # arrays of JAX after arrays of NumPy
    warm = jaxem.em(mixture(), params, X, max_iter=500)
    assert warm.log_likelihood >= fit(n_starts=16, max_iter=500).best().log_likelihood - 1e-3


# A fit knows its model --------------------------------------------------------------------------


def test_a_fit_answers_for_its_model():
    fits, model = fit(), mixture()
    best = fits.best()
    assert fits.model == model and fits[0].model is fits.model
    np.testing.assert_array_equal(best.predict(X), model.predict(best.params, X))
    np.testing.assert_array_equal(best.predict_proba(X), model.predict_proba(best.params, X))
    np.testing.assert_array_equal(best.log_prob(X), model.log_prob(best.params, X))
    assert best.criteria(X) == jaxem.criteria(model, best, X)
    errors = jaxem.standard_errors(model, best.params, X)
    np.testing.assert_array_equal(best.standard_errors(X).means, errors.means)
    drawn, label = best.sample(0, 40)
    assert drawn.shape == (40, 2) and set(np.asarray(label)) <= {0, 1, 2}
    many = jaxem.fit_many(model, [X, X[:100]], key=KEY, n_starts=2)
    np.testing.assert_array_equal(many[1, 0].predict(X), model.predict(many[1, 0].params, X))


def prior_mixture(a):
    return jaxem.Mixture(jaxem.Gaussian("full"), n_components=3, weight_prior=a)


def test_a_fit_that_cannot_answer_says_why():
    fits = fit()
    with pytest.raises(ValueError, match=r"predict takes one fit, and these are \(4,\)"):
        fits.predict(X)
    traced = jax.jit(jaxem.em)(mixture(), fits[0].params, X)
    assert traced.model is None
    with pytest.raises(ValueError, match="a model that was traced"):
        traced.predict(X)


def test_fits_made_in_your_own_programs_know_their_model():
    start, want = fit()[0].params, jaxem.em(mixture(), fit()[0].params, X)
    ways = {
        "closed over": jax.jit(lambda params: jaxem.em(mixture(), params, X))(start),
        "vmap": jax.vmap(lambda x: jaxem.em(mixture(), start, x))(jnp.asarray(X)[None])[0],
    }
    for way, one in ways.items():
        assert one.model == mixture(), way
        np.testing.assert_array_equal(one.predict(X), want.predict(X))


def test_fits_of_equal_models_are_one_tree():
    with_prior = [prior_mixture(a) for a in (2.0, 2.0, 3.0)]
    start = fit()[0].params
    same, again, other = (jaxem.em(model, start, X, max_iter=1) for model in with_prior)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, same, again)
    np.testing.assert_allclose(mean.log_likelihood, same.log_likelihood)
    with pytest.raises(ValueError, match=r"ismatch|different"):
        jax.tree.map(lambda a, b: a, same, other)


def test_float64_fits_answer_in_float64():
    with jax.enable_x64(False):
        best = fit().best()
        assert best.log_prob(X).dtype == np.float64
        assert best.status == Status.CONVERGED or best.status == Status.MAX_ITER
