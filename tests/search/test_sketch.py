"""The race on a part of the rows: which rows, when, and that nothing but time is lost."""

import jax
import numpy as np
import pytest
from helpers import assert_same_bits
from problems import clouds, mixture

import jaxem
from jaxem import Status
from jaxem.batch import scheduler
from jaxem.batch.problem import Resources, pose
from jaxem.data.data import Data
from jaxem.data.validate import host_data
from jaxem.engine.steps import Control
from jaxem.search import sketch
from jaxem.search.options import search_of
from jaxem.search.sketch import row_order, stages_of, subset

KEY, X = jax.random.key(3), clouds(4000, gap=3.0)


def fit(x=X, race="rows", **options):
    given = dict(key=KEY, n_starts=64, tol=1e-8) | options
    return jaxem.fit(mixture(), x, race=race, **given)


@pytest.fixture(scope="module")
def raced():
    return fit()


def stages(x=X, n_starts=1000, race="rows", init="k-means++", max_iter=500, weight=None):
    data = host_data(x, weight)
    problem = pose(mixture(), data, np.float64)
    search = search_of(n_starts, init, race, 0, True)
    return stages_of(problem, search, Control(1e-6, max_iter), Resources())


def test_the_winner_is_that_of_all_starts_on_all_rows(raced):
    full = fit(race=False)
    assert raced.report.executed < full.report.executed
    np.testing.assert_allclose(raced.best().log_likelihood, full.best().log_likelihood, rtol=1e-9)


def test_likelihoods_are_those_of_all_rows_also_of_starts_that_left(raced):
    assert (raced.status == Status.PRUNED).sum() >= 32
    for i in np.flatnonzero(np.isfinite(raced.log_likelihood))[::7]:
        total = np.sum(mixture().log_prob(raced[int(i)].params, X))
        np.testing.assert_allclose(raced.log_likelihood[i], total, rtol=1e-10)


def test_the_report_counts_iterations_on_a_part_of_the_rows_as_that_part(raced):
    """All starts are evaluated and make 12 iterations on a sixteenth of the rows; some do so on a
    quarter."""
    report, steps = raced.report, sketch.ITERATIONS + 1
    goes_on = (report.saved - 64 * steps * 15 / 16) / (steps * 3 / 4)  # with one E-step of the rest
    assert 0 < goes_on < 64
    assert report.needed > np.sum(raced.n_iter + 1)
    assert f"saved {report.saved:,} iterations on all" in raced.summary()
    assert "saved" not in fit(race=True).summary() and fit(race=True).report.saved == 0


def test_other_lanes_and_another_memory_limit_change_nothing_but_roundings(raced):
    for options in (dict(memory_limit=2_000_000), dict(pad_to=4)):
        other = fit(**options)
        np.testing.assert_array_equal(other.status, raced.status)
        sound = raced.sound
        np.testing.assert_allclose(
            other.log_likelihood[sound], raced.log_likelihood[sound], rtol=1e-8
        )


def test_a_weight_of_two_is_a_row_twice_in_distribution():
    """Means of rows drawn by weight, and of rows drawn from their repetitions."""
    weight = 1 + 2 * (X[:400, 0] > 1.5)
    twice = np.repeat(X[:400], weight, axis=0)
    drawn = X[:400][row_order(Data(X[:400], weight.astype(float)), 40_000, KEY)]
    error = 5 * twice.std(axis=0) / np.sqrt(40_000)
    assert (np.abs(drawn.mean(axis=0) - twice.mean(axis=0)) < error).all()
    assert (np.abs(X[:400].mean(axis=0) - twice.mean(axis=0)) > error).any()


def test_a_rare_component_is_kept():
    """A component of one row in a hundred, beside others that overlap: its rows are fifty."""
    rng = np.random.default_rng(0)
    rare = np.arange(5000) % 100 == 0
    x = clouds(5000, gap=3.0) + rare[:, None] * np.array([0.0, 6.0])
    x[rare] += 0.1 * rng.normal(size=(50, 2))
    fits = jaxem.fit(mixture(k=4), x, key=KEY, n_starts=64, race="rows", tol=1e-8)
    full = jaxem.fit(mixture(k=4), x, key=KEY, n_starts=64, race=False, tol=1e-8)
    assert fits.report.saved > 0
    assert float(fits.best().log_likelihood) > float(full.best().log_likelihood) - 0.05
    assert np.min(fits.best().params.weights) < 0.02


def test_where_rows_are_many_the_search_is_made_on_a_part_to_its_end(monkeypatch, raced):
    assert not any(stage.settles for stage in stages())
    monkeypatch.setattr(sketch, "LONG", 1)
    assert [stage.settles for stage in stages()] == [False, True]  # 58 rows for each parameter
    assert not any(stage.settles for stage in stages(X[:3000]))  # 44
    settled = fit()
    assert (settled.status != Status.PRUNED).sum() <= 2 * sketch.FINALISTS
    np.testing.assert_allclose(settled.best().objective, raced.best().objective, rtol=1e-9)
    many = fit(split_merge=1, race=None)
    assert (many.parent >= 0).any()


def test_the_same_key_gives_the_same_bits_and_weights_of_one_change_nothing(raced):
    assert_same_bits(fit(), raced)
    assert_same_bits(fit(sample_weight=np.ones(len(X))), raced)


def test_subsets_are_nested_and_drawn_by_the_key():
    data = Data(X, np.ones(len(X)))
    few, more = row_order(data, 100, KEY), row_order(data, 1000, KEY)
    np.testing.assert_array_equal(few, more[:100])
    assert len(set(more.tolist())) == 1000
    assert not np.array_equal(few, row_order(data, 100, jax.random.key(4)))


def test_rows_are_drawn_by_weight():
    weight = np.where(np.arange(4000) < 40, 100.0, 1.0)
    drawn = row_order(Data(X, weight), 20_000, KEY)
    share = 4000 / (4000 + 3960)
    np.testing.assert_allclose(np.mean(drawn < 40), share, atol=5 * np.sqrt(share / 20_000))
    assert (weight[row_order(Data(X, np.where(weight > 1, 0.0, 1.0)), 500, KEY)] == 1).all()


def test_a_subset_has_the_units_and_the_weight_of_all_rows():
    weight = np.arange(4000.0) % 5
    label = np.where(np.arange(4000) % 9 == 0, 1, -1)
    problem = pose(mixture(), host_data(X, weight, label), np.float64)
    rows = row_order(problem.host[0], 500, KEY)
    part = subset(problem, rows)
    np.testing.assert_allclose(part.data.weight.sum(), weight.sum())
    back = np.asarray(part.data.x) * part.scaling.scale + part.scaling.shift
    np.testing.assert_allclose(back, X[rows])
    np.testing.assert_array_equal(part.data.label, label[rows])


def test_labels_and_weights_reach_the_same_optimum():
    label = np.where(np.arange(4000) % 50 == 0, np.argmin(X @ np.ones(2)) % 3, -1)
    weight = 1 + np.arange(4000.0) % 3
    for options in (dict(labels=label), dict(sample_weight=weight)):
        np.testing.assert_allclose(
            fit(**options).best().objective, fit(race=False, **options).best().objective, rtol=1e-9
        )


def test_where_a_race_begins_on_a_part_of_the_rows():
    assert [stage.rows for stage in stages()] == [250, 1000]
    assert [stage.rows for stage in stages(X[:2000])] == [500]  # 10 rows for each of 17 parameters
    assert stages(X[:500]) == []
    assert stages(race=True) == stages(race=False) == []
    assert stages(race=None, n_starts=64) == []  # too little to save
    assert stages(race=None, n_starts=100_000) != []
    assert stages(max_iter=10) == []
    assert stages(init=np.zeros(4000, int)) == []


def test_data_sets_of_their_own_race_on_all_rows():
    many = jaxem.fit_many(mixture(), [X[:300], X[300:650]], key=KEY, n_starts=64, race="rows")
    same = jaxem.fit_many(mixture(), [X[:300], X[300:650]], key=KEY, n_starts=64, race=True)
    assert_same_bits(many, same)


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="race must be None, True, False or 'rows'; got 'columns'"):
        fit(race="columns")


def test_ctrl_c_on_a_part_of_the_rows_gives_back_every_start(raced, tmp_path, monkeypatch):
    real, calls = scheduler.advance, []

    def advance(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch, pytest.warns(RuntimeWarning, match="interrupted"):
        patch.setattr(sketch.scheduler, "advance", advance)
        fits = fit(checkpoint=tmp_path / "point")
    assert_same_bits(fit(checkpoint=tmp_path / "point"), raced)  # the same call begins afresh
    assert fits.report.interrupted and (fits.status == Status.RUNNING).all()
    assert np.isfinite(fits.params.means).all()


def test_a_checkpoint_goes_on_to_the_same_bits(raced, tmp_path, monkeypatch):
    from jaxem.batch import checkpoint, lanes

    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    real, calls = lanes.advance, []

    def advance(*arguments, **options):
        calls.append(1)
        if len(calls) == 8:  # after the sketch
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch, pytest.warns(RuntimeWarning, match="interrupted"):
        patch.setattr(lanes, "advance", advance)
        some = fit(checkpoint=tmp_path / "point")
    assert (some.status == Status.PRUNED).any() and (some.status == Status.RUNNING).any()
    monkeypatch.setattr(sketch, "row_order", None)  # no second sketch
    got = fit(checkpoint=tmp_path / "point")
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(raced), strict=True):
        np.testing.assert_array_equal(one, other)
