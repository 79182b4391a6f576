"""Data sets that share their rows and differ in their weights: one table in memory, many fits."""

import jax
import numpy as np
import pytest
from own_models import BloodGroups

import jaxem
from jaxem import Status
from jaxem.batch.grid import Grid, prepare
from jaxem.batch.problem import pose_weights
from jaxem.core.model_protocol import Compute
from jaxem.data.data import Data
from jaxem.data.sets import as_list, same_rows

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(0, 1, (60, 2)), RNG.normal(4, 1, (60, 2))])
WEIGHTS = RNG.multinomial(120, np.full(120, 1 / 120), size=6).astype(float)
LABELS = np.where(np.arange(120) % 10 == 0, np.arange(120) // 60, -1)


def mixture(kind="full", **settings):
    return jaxem.Mixture(jaxem.Gaussian(kind), n_components=2, **settings)


def fit(x, weight, model=None, **options):
    given = dict(key=KEY, n_starts=4, sample_weight=weight, tol=1e-9, max_iter=2000)
    return jaxem.fit_many(model or mixture(), x, **(given | options))


@pytest.mark.parametrize("kind", ["full", "diag", "tied"])
@pytest.mark.parametrize("labels", [None, LABELS])
def test_as_the_same_rows_given_several_times(kind, labels):
    apart = None if labels is None else [labels.copy() for _ in WEIGHTS]
    one = fit(X, WEIGHTS, mixture(kind), labels=labels)
    many = fit([X.copy() for _ in WEIGHTS], list(WEIGHTS), mixture(kind), labels=apart)
    np.testing.assert_array_equal(one.status, many.status)
    np.testing.assert_allclose(one.log_likelihood, many.log_likelihood, rtol=1e-9)
    means = [np.sort(fits.best().params.means, axis=1) for fits in (one, many)]
    np.testing.assert_allclose(*means, rtol=1e-4)


def test_a_weight_is_a_repetition():
    one = fit(X, WEIGHTS).best()
    repeated = [np.repeat(X, row.astype(int), axis=0) for row in WEIGHTS]
    np.testing.assert_allclose(
        one.log_likelihood, fit(repeated, None).best().log_likelihood, rtol=1e-9
    )


def test_a_data_set_fits_as_it_would_alone():
    many = fit(X, WEIGHTS, init="kmeans")
    alone = jaxem.fit(
        mixture(), X, key=KEY, n_starts=4, sample_weight=WEIGHTS[3], init="kmeans", tol=1e-9
    )
    np.testing.assert_allclose(
        many[3].best().log_likelihood, alone.best().log_likelihood, rtol=1e-9
    )


def test_float32_is_finished_in_float64():
    narrow, wide = fit(X.astype(np.float32), WEIGHTS), fit(X, WEIGHTS)
    assert narrow.log_likelihood.dtype == np.float32
    np.testing.assert_allclose(narrow.best().log_likelihood, wide.best().log_likelihood, rtol=3e-7)


def test_the_race_and_split_and_merge():
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    options = dict(model=model, n_starts=12, race=True, split_merge=1)
    one = fit(X, WEIGHTS, **options)
    many = fit([X.copy() for _ in WEIGHTS], list(WEIGHTS), **options)
    assert (one.status == Status.PRUNED).any() and (one.parent >= 0).any()
    np.testing.assert_allclose(one.best().objective, many.best().objective, rtol=1e-8)


def test_given_starts():
    starts = fit(X, WEIGHTS, max_iter=0).params  # [sets, starts]
    again = fit(X, WEIGHTS, init=starts, n_starts=None, accelerate=None)
    one = jaxem.em(mixture(), jax.tree.map(lambda leaf: leaf[2, 1], starts), X,
                   sample_weight=WEIGHTS[2], tol=1e-9, max_iter=2000)  # fmt: skip
    np.testing.assert_allclose(again.log_likelihood[2, 1], one.log_likelihood, rtol=1e-8)


def test_bad_weights_cost_no_other_data_set():
    bad = WEIGHTS.copy()
    bad[1], bad[3, 5], bad[4] = 0.0, np.nan, -bad[4]
    fits, fine = fit(X, bad), fit(X, WEIGHTS)
    want = [Status.EMPTY_COMPONENT, Status.NONFINITE, Status.NONFINITE]
    assert fits.status[[1, 3, 4]].tolist() == [[code] * 4 for code in want]
    assert np.isnan(fits.params.means[[1, 3, 4]]).all()
    good = [0, 2, 5]
    np.testing.assert_allclose(
        fits.best().log_likelihood[good], fine.best().log_likelihood[good], rtol=1e-9
    )


def test_rows_that_cannot_be_fitted_fail_where_they_count():
    x = X.copy()
    x[7] = np.nan
    fits = fit(x, WEIGHTS)
    assert (fits.status == Status.NONFINITE).all()
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(120,\)"):
        fit(X, WEIGHTS[:, :-1])
    with pytest.raises(ValueError, match="sample_weight has no row"):
        fit(X, WEIGHTS[:0])
    with pytest.raises(ValueError, match="labels must have shape"):
        fit(X, WEIGHTS, labels=LABELS[:-1])


def test_a_checkpoint_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    from jaxem.batch import checkpoint, lanes

    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    want, real, calls = fit(X, WEIGHTS), lanes.advance, []

    def advance(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch, pytest.warns(RuntimeWarning, match="interrupted"):
        patch.setattr(lanes, "advance", advance)
        fit(X, WEIGHTS, checkpoint=tmp_path / "point")
    got = fit(X, WEIGHTS, checkpoint=tmp_path / "point")
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lists_of_data_that_share_an_array_are_one_table():
    sets = [Data(X, row) for row in WEIGHTS]
    assert same_rows(as_list(sets))
    assert not same_rows(as_list([Data(X.copy(), row) for row in WEIGHTS]))
    assert not same_rows(as_list([X, X]))


@pytest.mark.parametrize("model", [mixture(), BloodGroups()])
def test_rows_are_in_memory_once(model):
    """Only leaves that depend on the weights have an axis of data sets."""
    x = X if isinstance(model, jaxem.Mixture) else np.arange(4.0)[:, None]
    weight = WEIGHTS[:, : len(x)]
    problem = pose_weights(model, [Data(x, row) for row in weight], np.arange(6), np.float64)
    grid = prepare(Grid(model, problem.data, None, problem.scaling, True, Compute()), 64)
    for leaf, own in zip(jax.tree.leaves(grid), grid.own, strict=True):
        assert own == (np.shape(leaf)[:1] == (6,)), np.shape(leaf)
    assert grid.data.x.shape == x.shape and grid.prepared.weight.shape == (6,)
    lane = grid.of(4)
    np.testing.assert_allclose(lane.prepared.weight, weight[4].sum())


def test_ten_thousand_tables_of_counts():
    counts = np.random.default_rng(1).multinomial(521, [0.357, 0.073, 0.025, 0.545], size=10_000)
    x = np.arange(4.0)[:, None]
    fits = jaxem.fit_many(BloodGroups(), x, key=KEY, n_starts=1, sample_weight=counts)
    assert fits.sound.all() and fits.status.shape == (10_000, 1)
    one = jaxem.fit(BloodGroups(), x, key=KEY, n_starts=1, sample_weight=counts[7])
    np.testing.assert_allclose(fits.log_likelihood[7], one.log_likelihood, rtol=1e-7)
