"""A lane's result is its own: neighbours, order and number change nothing, and little is wasted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from helpers import assert_leaves_close, assert_same, assert_same_bits
from problems import clouds, force_plan, mixture

import jaxem
from jaxem import Status
from jaxem.batch import packing, scheduler
from jaxem.batch.problem import Problem, Resources, batch_of, pose
from jaxem.core.trees import replace
from jaxem.data.scaling import Scaling, scaling_of, scalings_of, standardize
from jaxem.data.validate import host_data
from jaxem.engine.steps import Control

KEY = jax.random.key(1)
X = clouds()
HARD = clouds(400, gap=2.0)
COMPILE = "/jax/core/compile/backend_compile_duration"


def fit(n_starts, x=X, **options):
    return jaxem.fit(mixture(), x, key=KEY, n_starts=n_starts, **{"race": False, **options})


def started(n_starts, x=X):
    """Runs of one data set at their starts, before any step."""
    problem = pose(mixture(), host_data(x), x.dtype)
    batch = batch_of(problem, n_starts, Control(1e-6, 500), Resources())
    return scheduler.start_random(batch, KEY, "k-means++")


def conclude(runs):
    """The fits of runs."""
    return scheduler.conclude(runs)[0]


@pytest.fixture(autouse=True)
def as_far_as_all(no_winners):
    """How much further the best run on is the matter of tests/search/test_winners.py."""


# Neighbours, order, number ------------------------------------------------------------------


@pytest.mark.parametrize("accelerate", [None, "anderson"])
def test_the_number_of_starts_changes_no_bit(monkeypatch, accelerate):
    force_plan(monkeypatch)
    many = fit(40, accelerate=accelerate)
    assert len(np.unique(many.n_iter)) > 3  # lanes leave and others take their places
    for n in (1, 5, 16):
        assert_same_bits(fit(n, accelerate=accelerate), many[:n])


def test_order_and_neighbours_change_no_bit(monkeypatch):
    force_plan(monkeypatch)
    first, second, alone = started(40), started(40), started(40)
    scheduler.advance(first, np.arange(40), 500)
    scheduler.advance(second, np.random.default_rng(0).permutation(40), 500)
    scheduler.advance(alone, np.array([7]), 500)
    want = conclude(first)
    assert (want.status == Status.CONVERGED).all()
    assert_same_bits(conclude(second), want)
    assert_same_bits(conclude(alone)[7], want[7])
    assert (np.delete(alone.run.n_iter, 7) == -1).all()


@pytest.mark.parametrize("bucket", [1, 4, 64])
def test_another_bucket_size_changes_roundings_only(monkeypatch, bucket):
    force_plan(monkeypatch)
    want = fit(40)
    force_plan(monkeypatch, bucket=bucket, smallest=1)
    assert_same(fit(40), want)


def test_blocks_of_rows_change_roundings_only(monkeypatch):
    force_plan(monkeypatch)
    want = fit(16)
    for rows in (37, 300):
        force_plan(monkeypatch, rows=rows)
        assert_same(fit(16), want)


def test_start_i_is_the_same_whatever_the_count():
    many = fit(40)
    assert_same(fit(3), many[:3])
    raced = fit(80, race=True)[:40]
    ran = raced.status != Status.PRUNED
    assert ran.any()
    assert_same(replace(raced, follows=None)[ran], replace(many, follows=None)[ran])


def test_starts_and_keys_differ():
    assert len(np.unique(fit(16, max_iter=0).log_likelihood)) > 8
    other = jaxem.fit(mixture(), X, key=jax.random.key(2), n_starts=16, max_iter=0)
    assert not np.isin(other.log_likelihood, fit(16, max_iter=0).log_likelihood).any()


# Bad neighbours -----------------------------------------------------------------------------


def test_a_start_with_nan_beside_it_changes_no_bit(monkeypatch):
    force_plan(monkeypatch)
    clean, dirty = started(16), started(16)
    for leaf in jax.tree.leaves(dirty.run.point.params):
        leaf[[3, 4]] = np.nan
    for runs in (clean, dirty):
        scheduler.advance(runs, np.arange(16), 500)
    good = np.delete(np.arange(16), [3, 4])
    assert_same_bits(conclude(dirty)[good], conclude(clean)[good])
    assert set(conclude(dirty).status[[3, 4]]) <= {Status.NONFINITE, Status.SINGULAR}


def test_a_data_set_with_nan_beside_it_changes_no_bit():
    def run(sets):
        weight = np.ones(sets.shape[:2])
        scaling = scalings_of(mixture().family, np.nan_to_num(sets), weight)
        data = jaxem.Data(jnp.asarray(standardize(sets, scaling)), jnp.asarray(weight))
        names = np.arange(len(sets))
        problem = Problem(mixture(), [], data, scaling, names, shared=False)
        batch = batch_of(problem, 4, Control(1e-6, 500), Resources())
        assert batch.plan.at_once > 1
        runs = scheduler.start_random(batch, KEY, "k-means++")
        scheduler.advance(runs, np.arange(len(batch.groups)), 500)
        return conclude(runs)

    sets = np.stack([clouds(seed=seed) for seed in range(3)])
    want = run(sets)
    sets[1, 17, 0] = np.nan
    got = run(sets)
    others = np.r_[0:4, 8:12]
    assert (want.status == Status.CONVERGED).all()
    assert_same_bits(got[others], want[others])
    assert not got.sound[4:8].any()


# One front door and the other ---------------------------------------------------------------


@pytest.mark.parametrize("init", ["k-means++", "kmeans", "random", "random_from_data"])
def test_fit_equals_fit_many_of_one(init):
    options = dict(key=KEY, n_starts=6, init=init)
    one = jaxem.fit(mixture(), X, **options)
    many = jaxem.fit_many(mixture(), [X], **options)
    assert many.status.shape == (1, 6)
    assert_same(many[0], one)


def test_fit_equals_fit_many_of_one_in_float32():
    """Sums are in another order: a start may stop an iteration sooner, on the same hill."""
    x = X.astype(np.float32)
    options = dict(key=KEY, n_starts=6, tol=1e-7)
    one, many = jaxem.fit(mixture(), x, **options), jaxem.fit_many(mixture(), [x], **options)[0]
    assert {leaf.dtype for leaf in jax.tree.leaves((one.params, many.params))} == {np.dtype("f4")}
    np.testing.assert_array_equal(one.sound, many.sound)
    np.testing.assert_allclose(many.objective, one.objective, rtol=1e-6)
    np.testing.assert_allclose(many.log_likelihood, one.log_likelihood, rtol=1e-6)
    assert_leaves_close(many.params, one.params, 2e-2)


# What it cost -------------------------------------------------------------------------------


def test_the_report_counts_steps(monkeypatch):
    monkeypatch.setattr(packing, "RATIO", 4)
    force_plan(monkeypatch, bucket=4, smallest=4)
    fits = fit(4, accelerate=None)
    steps = np.sort(fits.n_iter + 1)
    assert steps[-1] > steps[-2] > steps[0]
    assert fits.report.needed == steps.sum()
    assert fits.report.executed == 4 * steps[-1]  # in step with the slowest
    force_plan(monkeypatch, bucket=4, smallest=1)
    fits = fit(4, accelerate=None)
    # Four run_in_threads until one is left, which goes on alone.
    assert fits.report.executed == 4 * steps[-2] + (steps[-1] - steps[-2])
    assert fits.report.waste == fits.report.executed / fits.report.needed


@pytest.mark.parametrize("race", [False, True])
def test_little_is_wasted_on_a_thousand_starts(race):
    report = fit(1000, HARD, race=race).report
    assert 1 <= report.waste <= 1.3


def test_a_second_call_compiles_nothing():
    own = dict(memory_limit=1 << 30)  # sizes as they are, which no other test has
    first = fit(100, clouds(303), **own)
    assert 0 < first.report.programs <= 20
    assert first.report.compile_seconds > 0
    for n_starts, seed in ((100, 1), (128, 0)):
        again = fit(n_starts, clouds(303, seed), **own).report
        assert again.programs == 0
        assert again.run_seconds > 0


def test_one_program_per_bucket_size(monkeypatch):
    force_plan(monkeypatch, bucket=16, smallest=1)
    x = clouds(301)
    seen = []
    monkeypatch.setattr(packing, "_run_bucket", _watch(packing._run_bucket, seen))
    before = len(_compiled)
    for n in (1, 2, 7, 16, 33, 50):
        fit(n, x, memory_limit=1 << 30)  # sizes as they are
    assert 1 < len(set(seen)) <= 1 + np.log(16) / np.log(packing.RATIO)
    assert sum("advance" in name for name in _compiled[before:]) == len(set(seen))


def _watch(run_bucket, seen):
    def watched(job, ids, size, refill):
        seen.append(size)
        return run_bucket(job, ids, size, refill)

    return watched


_compiled: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **kw: _compiled.append(kw["fun_name"]) if event == COMPILE else None
)


def test_a_frame_is_exact():
    """Lanes are fitted in the scaling; the same data in other units end at the same place."""
    scale, shift = np.array([1e3, 1e-2]), np.array([5e4, 1.0])
    one, other = fit(8), fit(8, X * scale + shift)
    np.testing.assert_array_equal(one.n_iter, other.n_iter)
    np.testing.assert_allclose(other.params.means, one.params.means * scale + shift, rtol=1e-6)
    jacobian = len(X) * np.log(scale).sum()
    np.testing.assert_allclose(other.log_likelihood + jacobian, one.log_likelihood, rtol=1e-8)
    assert isinstance(scaling_of(mixture().family, X, None), Scaling)


def test_models_of_different_families_are_different_programs():
    """Compiled programs are looked up by tree structure: equal ones would share a program."""
    structures = {}
    for name, case in CASES.items():
        structure = jax.tree.structure(jax.tree.map(lambda leaf: 0.0, case.model))
        kind = type(case.model.family)
        assert structures.setdefault(structure, kind) is kind
        for other, its_kind in structures.items():
            assert (structure != other) or (kind is its_kind), f"{name} and {its_kind.__name__}"


# Traces --------------------------------------------------------------------------------------


def test_a_trace_of_every_start():
    plain = dict(accelerate=None, race=False, max_iter=60)
    fits, bare = fit(12, trace=True, **plain), fit(12, **plain)
    np.testing.assert_array_equal(fits.objective, bare.objective)
    assert bare.trace is None and fits.trace.shape == (12, 61)
    for trace, n_iter, last in zip(fits.trace, fits.n_iter, fits.objective, strict=True):
        assert np.isfinite(trace[: n_iter + 1]).all() and np.isnan(trace[n_iter + 1 :]).all()
        np.testing.assert_allclose(trace[n_iter], last, rtol=1e-12)
        assert (np.diff(trace[: n_iter + 1]) > -1e-9).all()  # EM only climbs
    begun = fit(12, max_iter=0, race=False)
    np.testing.assert_allclose(fits.trace[:, 0], begun.objective, rtol=1e-12)


def test_traces_of_a_race_end_where_starts_were_pruned():
    fits = fit(100, trace=True, race=True, max_iter=80)
    pruned = fits.status == Status.PRUNED
    assert pruned.any() and not pruned.all()
    np.testing.assert_array_equal(np.isfinite(fits.trace).sum(axis=1), fits.n_iter + 1)
    assert fits.plot.traces().get_ylabel() == "nats below the best"
