"""Small problems share their programs: what is padded compiles nothing and changes nothing."""

import itertools
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from cases import CASES
from problems import clouds, mixture

import jaxem
from jaxem import Status
from jaxem.batch import padding
from jaxem.batch.padding import (
    SPARE,
    Sizes,
    is_small,
    padded_length,
    sizes_of,
    sizes_of_many,
)
from jaxem.core.compilation import compilations
from jaxem.core.program_memory import maps_in_use
from jaxem.data.data import Data
from jaxem.data.ragged import EXPECTED

KEY, X = jax.random.key(0), clouds(300)


def fit(x=X, model=None, **options):
    return jaxem.fit(model or mixture(), x, **(dict(key=KEY, n_starts=5, tol=1e-9) | options))


@pytest.fixture
def as_it_is(monkeypatch):
    """A function that runs another with sizes as they are, in the precision of the data."""

    def run(function):
        with monkeypatch.context() as patch:
            patch.setattr(padding, "SPARE", 0)
            patch.setattr(padding, "SMALL", 0)
            return function()

    return run


@pytest.mark.parametrize("name", sorted(n for n in CASES if CASES[n].plain))
def test_fits_are_those_of_the_problem_as_it_is(name, as_it_is, no_winners):
    case = CASES[name]
    x = case.data(70)
    run = lambda: fit(x, case.model, max_iter=40, accelerate=None)  # noqa: E731
    got, want = run(), as_it_is(run)
    np.testing.assert_array_equal(got.sound, want.sound)
    np.testing.assert_allclose(got.log_likelihood, want.log_likelihood, rtol=1e-9)
    assert jax.tree.map(np.shape, got.params) == jax.tree.map(np.shape, want.params)


@pytest.mark.parametrize("init", ["k-means++", "kmeans", "random_from_data", "random"])
def test_starts_are_those_of_the_problem_as_it_is(init, as_it_is):
    start = lambda: fit(X[:77], init=init, max_iter=0)  # noqa: E731
    got, want = start(), as_it_is(start)
    np.testing.assert_allclose(got.params.means, want.params.means, rtol=1e-9)
    np.testing.assert_allclose(got.params.weights, want.params.weights, rtol=1e-9)


def test_a_start_does_not_depend_on_the_sizes(no_winners):
    few, many = fit(n_starts=3), fit(n_starts=17)
    np.testing.assert_allclose(few.log_likelihood, many.log_likelihood[:3], rtol=1e-9)


def test_weights_labels_and_given_starts(as_it_is):
    weight, label = np.arange(300.0) % 3, np.where(np.arange(300) % 7 == 0, 1, -1)
    start = fit(max_iter=0).params
    for options in (
        dict(sample_weight=weight),
        dict(labels=label),
        dict(init=start, n_starts=None),
    ):
        got, want = fit(**options), as_it_is(lambda options=options: fit(**options))
        np.testing.assert_allclose(got.log_likelihood, want.log_likelihood, rtol=1e-8)


def test_another_length_one_start_more_one_component_more_compile_nothing():
    first = fit(X[:200], n_starts=9)
    assert first.report.programs <= 4
    others = {
        "the same": fit(X[:200], n_starts=9),
        "rows": fit(X, n_starts=9),
        "starts": fit(X[:200], n_starts=10),
        "components": fit(X[:200], mixture(k=4), n_starts=9),
    }
    assert {name: fits.report.programs for name, fits in others.items()} == dict.fromkeys(others, 0)
    # Only the report of float32 fits is another program.
    assert fit(X[:200].astype(np.float32), n_starts=9).report.programs <= 1


def test_a_loop_over_data_sets_of_any_length_compiles_nothing():
    fit(X[:20])
    lengths = np.random.default_rng(0).integers(10, 300, 40)
    assert sum(fit(X[:n], max_iter=5).report.programs for n in lengths) == 0


def test_a_loop_over_many_lengths_needs_no_more_memory():
    lengths = np.random.default_rng(0).permutation(np.arange(20, 2420, 8))  # 300 of them
    rows = clouds(2420)

    def loop(lengths):
        return sum(fit(rows[:n], n_starts=2, max_iter=3).report.programs for n in lengths)

    assert 0 < loop(lengths[:60]) <= 24
    before = maps_in_use(), resident()
    assert loop(lengths[60:]) == 0
    assert maps_in_use() is None or maps_in_use() <= before[0] + 40  # a program has as many
    assert resident() <= before[1] + 30e6


def resident():
    """Bytes of memory that this process has; 0 where the system does not report them."""
    path = Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.exists() else 0


def test_criteria_of_other_rows_and_components_share_a_program():
    jaxem.criteria(mixture(k=2), fit(X[:50], mixture(k=2)).best(), X[:50])
    for k, n in ((1, 60), (3, 300), (4, 200)):
        model = mixture(k=k)
        best = fit(X[:n], model).best()
        with compilations() as compiled:
            found = jaxem.criteria(model, best, X[:n])
        assert compiled.programs == 0
        r = np.asarray(model.predict_proba(best.params, X[:n]))
        doubt = -np.sum(np.log(r.max(axis=1)))
        np.testing.assert_allclose(found.icl - found.bic, 2 * doubt, rtol=1e-9, atol=1e-9)
        entropy = -np.sum(r * np.log(np.maximum(r, 1e-300)))
        np.testing.assert_allclose(found.icl_entropy - found.bic, 2 * entropy, rtol=1e-9, atol=1e-9)


def several(number, seed=0):
    """Data sets of 20 to 300 rows."""
    lengths = np.random.default_rng(seed).integers(20, 300, number)
    return [clouds(n, seed + i) for i, n in enumerate(lengths)]


def fit_many(sets, model=None, **options):
    options = dict(key=KEY, n_starts=3, tol=1e-9, max_iter=40) | options
    return jaxem.fit_many(model or mixture(), sets, **options)


@pytest.mark.parametrize("number", [1, 3, 9])
def test_many_fits_are_those_of_the_problem_as_it_is(number, as_it_is, no_winners):
    run = lambda: fit_many(several(number), accelerate=None)  # noqa: E731
    got, want = run(), as_it_is(run)
    np.testing.assert_array_equal(got.status, want.status)
    fine = want.sound
    np.testing.assert_allclose(got.log_likelihood[fine], want.log_likelihood[fine], rtol=1e-9)
    np.testing.assert_allclose(got.params.means[fine], want.params.means[fine], rtol=1e-6)


def test_another_number_of_data_sets_compiles_nothing():
    first = fit_many(several(9))
    assert first.report.programs <= 5
    others = {
        "the same": fit_many(several(9)),
        "data sets": fit_many(several(14)),
        "lengths": fit_many(several(10, seed=5)),
        "starts": fit_many(several(9), n_starts=4),
        "components": fit_many(several(9), mixture(k=4)),
    }
    assert {name: fits.report.programs for name, fits in others.items()} == dict.fromkeys(others, 0)
    narrow = fit_many([x.astype(np.float32) for x in several(9)])
    assert narrow.report.programs <= 1 and narrow.log_likelihood.dtype == np.float32
    np.testing.assert_allclose(narrow.log_likelihood, first.log_likelihood, rtol=1e-4)


@pytest.mark.parametrize("number", [1, 5, 100, 5000])
@pytest.mark.parametrize("length", [10, 256, 5000])
def test_padding_of_many_costs_little(number, length):
    sets = [Data(np.zeros((1, 2)), np.ones(1))] * number
    sizes = sizes_of_many(mixture(), sets, length, "k-means++", 10)
    assert sizes.sets >= number and sizes.lanes >= 10 and sizes.rows >= length
    assert sizes.sets <= max(4, 2 * number) and (number < 512 or sizes.sets <= 1.25 * number)
    assert (sizes.rows - length) * number * EXPECTED * 30 <= 3 * SPARE


def test_small_float32_data_are_fitted_in_float64_and_reported_in_float32(as_it_is):
    x = X.astype(np.float32)
    fits = fit(x)
    assert {leaf.dtype for leaf in jax.tree.leaves((fits.params, fits.objective))} == {
        np.dtype("f4")
    }
    best = fits.best()
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), best.params)
    total = np.sum(np.asarray(mixture().log_prob(wide, x.astype(np.float64))))
    np.testing.assert_allclose(best.log_likelihood, total, rtol=1.2e-7)  # of these parameters
    want = as_it_is(lambda: fit(x)).best()
    np.testing.assert_allclose(best.log_likelihood, want.log_likelihood, rtol=3e-7)
    trace = fit(x, trace=True, max_iter=30).trace
    assert trace.dtype == np.float32 and trace.shape == (5, 31)


def test_what_is_asked_of_the_arithmetic_is_done():
    x = X.astype(np.float32)
    fits = fit(x, kernel="reference")
    assert fits.report.kernel == "reference" and fits.log_likelihood.dtype == np.float32


def test_ctrl_c_keeps_the_dtype(ctrl_c, monkeypatch):
    from jaxem.batch import lanes

    real = lanes.advance

    def advance(*args):
        ctrl_c()
        return real(*args)

    monkeypatch.setattr(lanes, "advance", advance)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        fits = fit(X.astype(np.float32))
    assert fits.log_likelihood.dtype == np.float32
    assert (fits.status == Status.RUNNING).any()


@pytest.mark.parametrize("n", [1, 272, 600, 5000, 200_000])
@pytest.mark.parametrize("k", [1, 2, 5, 16])
@pytest.mark.parametrize("starts", [1, 33, 1000])
def test_padding_costs_little(n, k, starts):
    data = Data(np.broadcast_to(np.zeros(2), (n, 2)), np.broadcast_to(1.0, (n,)))
    model = mixture(k=k)
    sizes = sizes_of(model, data, "k-means++", starts)
    values = k if sizes.values is None else sizes.values
    assert sizes.rows >= n and sizes.lanes >= starts and values >= k
    extra = sizes.rows * sizes.lanes * values - n * starts * k
    assert extra * EXPECTED <= 3 * SPARE
    if n * k * starts * EXPECTED > 100 * SPARE:  # large problems stay as they are, but for a share
        assert extra <= 0.03 * n * k * starts
    assert is_small(model, data, starts) == (n * k * starts * EXPECTED <= padding.SMALL)


def test_models_that_cannot_be_padded_keep_their_size():
    data = Data(np.zeros((50, 2)), np.ones(50))
    prior = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3, weight_prior=2.0)
    assert sizes_of(prior, data, "k-means++", 5).values is None
    assert sizes_of(mixture(), data, "random", 5).values is None
    assert sizes_of(mixture(), data, lambda *a: None, 5) == Sizes(50, 5, None)
    labelled = Data(data.x, data.weight, np.full(50, -1))
    assert sizes_of(mixture(), labelled, "k-means++", 5).values is None


def test_lengths_grow_by_an_eighth_to_a_quarter():
    lengths = sorted({padded_length(n) for n in range(1, 5000)})
    assert lengths[:6] == [512, 640, 768, 896, 1024, 1280]
    assert all(b / a <= 1.25 for a, b in itertools.pairwise(lengths))
