"""Fits of rows that are read in blocks are those of the same rows in memory, to rounding."""

import jax
import numpy as np
import pytest
from cases import CASES, KINDS
from helpers import assert_leaves_close, assert_same
from own_models import BloodGroups, NormalMean
from problems import clouds, mixture

import jaxem

X = clouds(2000, seed=3, gap=2.5)

#: A limit under which 1,000 of these rows are a sample, and 250 a block.
LIMIT = 64_000


def blocks(x, *rest, sizes=(1, 700, 33)):
    """A function that gives the rows in blocks of these sizes, over and over."""

    def give():
        start, i = 0, 0
        while start < len(x):
            stop = start + sizes[i % len(sizes)]
            parts = [None if part is None else part[start:stop] for part in (x, *rest)]
            yield jaxem.Data(*parts) if rest else parts[0]
            start, i = stop, i + 1

    return give


@pytest.mark.parametrize("name", [*KINDS, "full-map", "full-frozen-weights"])
def test_em_of_every_family(name):
    case = CASES[name]
    x, model, params = case.data(400), case.model, case.truth
    options = dict(max_iter=8, tol=0.0, **case.settings)
    here = jax.device_get(jaxem.em(model, params, x, **options))
    there = jaxem.em(model, params, blocks(x), **options)
    np.testing.assert_allclose(there.log_likelihood, here.log_likelihood, rtol=1e-11)
    np.testing.assert_allclose(there.objective, here.objective, rtol=1e-9)
    assert_leaves_close(there.params, here.params, 1e-7)
    assert int(there.n_iter) == int(here.n_iter) and int(there.status) == int(here.status)


START = jax.device_get(mixture().init(jax.random.key(5), X))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"accelerate": "squarem"},
        {"accelerate": "anderson"},
        {"stop": "parameters", "tol": 1e-4},
        {"assignment": "hard"},
        {"exponent": 0.7},
        {"max_iter": 0},
        {"max_iter": 3},
    ],
    ids=str,
)
def test_em_with_every_option(options):
    here = jax.device_get(jaxem.em(mixture(), START, X, **options))
    assert_same(jaxem.em(mixture(), START, blocks(X), **options), here, 1e-7)


def test_weights_and_labels():
    rng = np.random.default_rng(1)
    weight, label = rng.integers(0, 4, len(X)).astype(float), rng.integers(-1, 3, len(X))
    label[: len(X) // 2] = -1
    here = jaxem.em(mixture(), START, X, sample_weight=weight, labels=label)
    there = jaxem.em(mixture(), START, blocks(X, weight, label))
    assert_same(there, jax.device_get(here), 1e-7)


@pytest.mark.parametrize("far", [0.0, 1e7])
def test_float32_rows_are_summed_in_float64(far):
    """The likelihood of 200,000 float32 rows, to a part in 10^10, by float64 in memory."""
    x = (clouds(200_000, seed=4) + far).astype(np.float32)
    fit = jaxem.em(mixture(), mixture().init(0, x[:500]), blocks(x, sizes=(65_000,)))
    exact = jaxem.em(mixture(), jax.tree.map(np.float64, fit.params), x.astype(float), max_iter=0)
    np.testing.assert_allclose(fit.log_likelihood, exact.log_likelihood, rtol=1e-10)
    assert fit.params.means.dtype == np.float64


def test_models_of_ones_own():
    x = np.random.default_rng(0).normal(size=(500, 2))
    model = NormalMean()
    fits = jaxem.fit(model, blocks(x), key=0, n_starts=4, memory_limit=16_000)
    np.testing.assert_allclose(fits.best().params.mean, x.mean(axis=0), atol=1e-6)
    groups = np.array([[0.0], [1], [2], [3]])
    counts = np.array([186.0, 38, 13, 284])
    here = jaxem.fit(BloodGroups(), groups, key=0, n_starts=1, sample_weight=counts)
    start = jax.tree.map(lambda leaf: np.asarray(leaf)[0] * 0 + 1 / 3, here.params)
    there = jaxem.em(BloodGroups(), start, blocks(groups, counts), tol=1e-12)
    np.testing.assert_allclose(there.params.frequencies, here.params.frequencies[0], atol=1e-6)


@pytest.mark.parametrize("race", [None, False])
def test_fit_ends_at_the_best_optimum_of_all_rows(race):
    here = jaxem.fit(mixture(), X, key=0, n_starts=16).best()
    fits = jaxem.fit(mixture(), blocks(X), key=0, n_starts=16, memory_limit=LIMIT, race=race)
    there = fits.best()
    np.testing.assert_allclose(there.log_likelihood, here.log_likelihood, rtol=1e-10)
    order, other = np.argsort(there.params.means[:, 0]), np.argsort(here.params.means[:, 0])
    np.testing.assert_allclose(there.params.means[order], here.params.means[other], atol=1e-4)
    statuses = fits.status_counts()
    assert statuses["CONVERGED"] >= 1
    assert ("PRUNED" in statuses) == (race is None)


def test_every_fit_has_the_likelihood_of_all_rows():
    fits = jaxem.fit(mixture(), blocks(X), key=0, n_starts=16, memory_limit=LIMIT)
    for fit in fits:
        total = np.sum(np.asarray(mixture().log_prob(fit.params, X), float))
        np.testing.assert_allclose(fit.log_likelihood, total, rtol=1e-9)


def test_given_starts_run_on_all_rows():
    starts = jaxem.fit(mixture(), X, key=0, n_starts=5, max_iter=0).params
    here = jaxem.fit(mixture(), X, key=0, init=starts, race=False)
    there = jaxem.fit(mixture(), blocks(X), key=0, init=starts, race=False, memory_limit=LIMIT)
    np.testing.assert_allclose(there.log_likelihood, here.log_likelihood, rtol=1e-6)
    assert there.status_counts() == {"CONVERGED": 5}


def test_rows_that_a_sample_holds_are_fitted_in_memory():
    here = jaxem.fit(mixture(), X, key=0, n_starts=8)
    assert_same(jaxem.fit(mixture(), blocks(X), key=0, n_starts=8), here, 0)


def test_results_do_not_depend_on_the_blocks_that_are_given():
    options = dict(key=3, n_starts=6, memory_limit=LIMIT)
    one = jaxem.fit(mixture(), blocks(X, sizes=(1999,)), **options)
    two = jaxem.fit(mixture(), blocks(X, sizes=(5, 113, 64)), **options)
    assert_same(one, two, 0)


def test_predictions_and_criteria():
    fit = jaxem.fit(mixture(), X, key=0, n_starts=4).best()
    for method in ("predict", "predict_proba", "log_prob"):
        here = np.asarray(getattr(fit, method)(X))
        there = np.concatenate(list(getattr(fit, method)(blocks(X))))
        np.testing.assert_allclose(there, here, rtol=1e-12, atol=1e-12)
    here, there = fit.criteria(X), fit.criteria(blocks(X))
    np.testing.assert_allclose(list(vars(there).values()), list(vars(here).values()), rtol=1e-12)
    # Rows that are made from rows, in the thread that reads ahead.
    made = jaxem.open_rows(lambda: (p[:, :2] for p in fit.predict_proba(blocks(X))))
    assert sum(len(part) for part in fit.log_prob(made)) == len(X)
