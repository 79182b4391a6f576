"""The race loses no optimum, and what it leaves behind is still a true account."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import clouds, mixture

import jaxem
from jaxem import Status, datasets
from jaxem.core.status import SOUND
from jaxem.results.optima import Optima
from jaxem.search import options as search_options
from jaxem.search import race, split_merge

KEY = jax.random.key(4)
SEPARATE = clouds()
OVERLAPPING = clouds(400, gap=3.0)
HARD = clouds(400, gap=2.0)

# Problems whose best optimum a race that promotes the wrong starts would miss.
PROBLEMS = {
    "old_faithful": (lambda: datasets.load("old_faithful"), 3),
    "galaxies": (lambda: datasets.load("galaxies"), 5),
    "diabetes": (lambda: datasets.load("diabetes"), 5),
    "separate": (lambda: SEPARATE, 4),
    "overlapping": (lambda: OVERLAPPING, 3),
}


def fit(x, k, n_starts=128, **options):
    return jaxem.fit(mixture(k=k), x, key=KEY, n_starts=n_starts, **options)


def log_likelihoods(model, params, x):
    """Of each fit along the first axis, from the density of every row."""
    one = lambda params: jnp.sum(model.log_prob(params, x))  # noqa: E731
    return np.asarray(jax.jit(jax.vmap(one))(params))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_race_loses_no_optimum(problem):
    load, k = PROBLEMS[problem]
    x = load()
    options = dict(tol=1e-8, max_iter=3000)
    raced, full = fit(x, k, race=True, **options), fit(x, k, race=False, **options)
    assert (raced.status == Status.PRUNED).any()
    assert (full.status != Status.PRUNED).all()
    assert raced.report.needed < 0.8 * full.report.needed
    assert float(raced.best().objective) > float(full.best().objective) - 1e-2


@pytest.mark.parametrize("x, k", [(HARD, 3), (SEPARATE, 5)])
def test_on_a_hard_problem_it_loses_only_what_few_starts_reach(x, k):
    """Clouds that hide one another, and more components than clouds, have many rare optima: the
    best one of the second problem is reached by one start in 128."""
    options = dict(tol=1e-7, max_iter=1000)
    raced, full = fit(x, k, race=True, **options), fit(x, k, race=False, **options)
    assert raced.report.needed < 0.5 * full.report.needed
    optima = full.optima(gap=0.05)
    common = optima.values[optima.counts >= 13][0]
    assert float(raced.best().objective) > common - 0.05


def test_the_winner_of_the_race_is_a_lane_like_any_other():
    raced, full = fit(SEPARATE, 3, race=True), fit(SEPARATE, 3, race=False)
    ran = raced.status != Status.PRUNED
    assert ran.sum() >= 1
    np.testing.assert_array_equal(raced.status[ran], full.status[ran])
    np.testing.assert_allclose(raced.objective[ran], full.objective[ran], rtol=1e-10)
    np.testing.assert_allclose(raced.params.means[ran], full.params.means[ran], rtol=1e-6)


@pytest.mark.parametrize("raced", [True, False])
def test_parameters_and_likelihood_belong_together(raced):
    fits = fit(OVERLAPPING, 3, race=raced)
    want = log_likelihoods(mixture(), fits.params, OVERLAPPING)
    np.testing.assert_allclose(fits.log_likelihood, want, rtol=1e-9)
    if raced:
        pruned = fits.status == Status.PRUNED
        assert pruned.any()
        assert set(fits.n_iter[pruned]) <= {limit for limit, _ in race.RUNGS}


def test_pruned_lanes_are_never_best_and_nothing_is_left_running():
    fits = fit(OVERLAPPING, 3, race=True)
    assert (fits.status != Status.RUNNING).all()
    assert not fits.sound[fits.status == Status.PRUNED].any()
    assert fits.best().status in SOUND
    assert "PRUNED (left the race early" in fits.summary()


def test_it_races_from_64_starts_on_where_that_saves_time_unless_told_otherwise(monkeypatch):
    cases = ((63, None, False), (64, None, True), (40, True, True), (64, False, False))
    size = 400 * 3 * 64  # responsibilities of an iteration of all starts
    for worth, longer in ((size, True), (size + 1, False)):
        monkeypatch.setattr(search_options, "RACE_WORTH", worth)
        for n_starts, asked, pruned in cases:
            fits = fit(OVERLAPPING, 3, n_starts=n_starts, race=asked)
            wanted = pruned and (longer or asked is not None)
            assert (fits.status == Status.PRUNED).any() == wanted


def test_by_default_a_few_proposals_follow_the_race_of_one_data_set(monkeypatch):
    monkeypatch.setattr(search_options, "RACE_WORTH", 1)
    fits = fit(HARD, 3, n_starts=200)
    generations, parents = search_options.GENERATIONS, fits.parent
    assert 0 < (parents >= 0).sum() <= generations * split_merge.FEW < 200
    assert fit(HARD, 3, n_starts=200, race=True).parent is None
    given = fit(HARD, 3, n_starts=64, init=one_start())
    assert given.parent is None  # one start, given, has nothing to draw
    many = jaxem.fit_many(mixture(), [HARD, HARD[:300]], key=KEY, n_starts=64)
    assert many.parent is None and (many.status == Status.PRUNED).any(axis=1).all()


def test_a_race_shorter_than_its_first_rung_is_no_race():
    fits = fit(OVERLAPPING, 3, race=True, max_iter=race.RUNGS[0][0])
    assert (fits.status == Status.MAX_ITER).all()


def test_every_data_set_has_a_race_of_its_own():
    sets = [clouds(400, seed, gap=2.0) for seed in range(3)]
    options = dict(key=KEY, n_starts=64, race=True)
    many = jaxem.fit_many(mixture(), sets, **options)
    assert (many.status == Status.PRUNED).any(axis=1).all()
    assert many.sound.any(axis=1).all()
    # Its neighbours take no place from it.
    other = jaxem.fit_many(mixture(), [sets[0], sets[0], sets[2]], **options)
    np.testing.assert_array_equal(many.status[[0, 2]], other.status[[0, 2]])


# Near-duplicates ----------------------------------------------------------------------------


def _distinct(values, weights, quota=10):
    """The lanes that run on, and whom the others follow."""
    values, weights = np.asarray(values, float), np.asarray(weights, float)
    follows = np.full(len(values), -1)
    standing, marks = race.Standing(values, values), np.sort(weights, axis=1)
    chosen = race.distinct(np.arange(len(values)), standing, marks, quota, follows)
    return list(chosen), list(follows)


def test_near_duplicates_are_merged_best_first():
    even, odd = [0.5, 0.5], [0.9, 0.1]
    values = [-2.0, -1.0, -1.0 + 1e-7, -2.0, np.nan, -1.0 - 1e-7]
    weights = [even, even, even, odd, [0.3, 0.7], [0.5 + 1e-5, 0.5 - 1e-5]]
    # 1, 2 and 5 are one path; 0 and 3 have one value but other weights; NaN comes last.
    assert _distinct(values, weights) == ([2, 0, 3, 4], [-1, 2, -1, -1, -1, 2])
    assert _distinct(values, weights, quota=2) == ([2, 0], [-1, 2, -1, -1, -1, 2])


def test_components_in_another_order_are_the_same_path():
    assert _distinct([-1.0, -1.0], [[0.2, 0.8], [0.8, 0.2]])[0] == [0]
    assert _distinct([-1.0, -1.001], [[0.2, 0.8], [0.2, 0.8]])[0] == [0, 1]


def _one_by_one(values, weights, quota):
    """`_distinct`, each lane compared with all that are chosen by then."""
    score = np.where(np.isfinite(values), values, -np.inf)
    chosen, follows = [], np.full(len(values), -1)
    for i in np.argsort(-score, kind="stable"):
        for j in chosen if np.isfinite(values[i]) else []:
            close = abs(values[i] - values[j]) <= race.SAME_OBJECTIVE * (1 + abs(values[i]))
            gap = np.abs(np.sort(weights[i]) - np.sort(weights[j])).max()
            if close and gap < 1e-3:
                follows[i] = j
        if follows[i] < 0 and len(chosen) < quota:
            chosen.append(i)
    return chosen, list(follows)


@pytest.mark.parametrize("seed", range(20))
def test_whom_lanes_follow_is_what_comparing_them_one_by_one_says(seed):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, 12, 150)
    values = np.r_[rng.normal(size=9), np.nan, -np.inf, -1e30][ends]
    values = values * (1 + rng.choice([0, 1e-6, 5e-6, 1e-5, 1e-4], 150))
    # A lane that is lost may have the weights of one that is not.
    weights = rng.dirichlet(np.ones(3), 5)[ends % 5] + rng.choice([0, 4e-4, 8e-4], (150, 3))
    for quota in (3, 20, 150):
        assert _distinct(values, weights, quota) == _one_by_one(values, weights, quota)


def one_start():
    """Parameters from which OVERLAPPING takes more steps than the first rung has."""
    means = 3.0 * np.array([[0.1, 0.0], [1.0, 0.1], [0.5, 0.8]])
    components = jaxem.GaussianParams(means, np.tile(np.eye(2), (3, 1, 1)))
    return jaxem.MixtureParams(np.full(3, 1 / 3), components)


def test_one_lane_runs_for_all_that_follow_it(no_winners):
    alone = fit(OVERLAPPING, 3, n_starts=1, init=one_start())
    fits = fit(OVERLAPPING, 3, init=one_start(), race=True)
    first = race.RUNGS[0][0]
    assert alone.n_iter[0] > first
    assert fits.sound.sum() == 1
    assert (fits.n_iter[~fits.sound] == first).all()
    assert float(fits.best().objective) == pytest.approx(float(alone.objective[0]), rel=1e-12)
    optima = fits.optima()
    assert (optima.best_count, optima.missed) == (128, 0)


def test_lanes_follow_within_their_data_set():
    sets = [OVERLAPPING, clouds(400, 1, gap=3.0), clouds(400, 2, gap=3.0)]
    many = jaxem.fit_many(mixture(), sets, key=KEY, n_starts=64, init=one_start())
    assert (many.sound.sum(axis=1) == 1).all()
    for i in range(3):
        optima = many[i].optima()
        np.testing.assert_array_equal(optima.values, many[i].objective[many[i].sound])
        assert optima.best_count == 64


# How many optima ----------------------------------------------------------------------------


def test_optima_by_hand():
    optima = Optima.of(np.array([-3.0, -1.0, -1.0005, -2.0, -1.0009, -2.0002, -9.0]), 1e-3, 7)
    np.testing.assert_array_equal(optima.values, [-1.0, -2.0, -3.0, -9.0])
    np.testing.assert_array_equal(optima.counts, [3, 2, 1, 1])
    assert optima.best_count == 3
    assert optima.missed == pytest.approx(2 / 7)  # Good and Turing: two of seven were seen once
    assert Optima.of(np.array([-1.0, -1.0]), 1e-3, 2).missed == 0
    nothing = Optima.of(np.zeros(0), 1e-3, 5)
    assert (nothing.best_count, nothing.missed, nothing.values.size) == (0, 1.0, 0)


def test_optima_counts_the_sound_fits_only():
    status = np.array([Status.CONVERGED, Status.PRUNED, Status.STALLED, Status.DEGENERATE])
    objective = np.array([-5.0, -5.0, -5.0, 99.0])
    fits = jaxem.Fit(None, objective, objective, status, np.zeros(4, int))
    np.testing.assert_array_equal(fits.optima().values, [-5.0])
    assert fits.optima().best_count == 2


@pytest.mark.parametrize(("dtype", "distinct"), [(np.float32, 2), (np.float64, 3)])
def test_optima_do_not_split_what_rounding_cannot_tell_apart(dtype, distinct):
    objective = np.array([-33806.05, -33806.05 - 0.012, -33810.0], dtype)  # three units apart
    status = np.full(3, Status.CONVERGED)
    fits = jaxem.Fit(None, objective, objective, status, np.zeros(3, int))
    assert fits.optima().values.size == distinct


def test_optima_of_all_starts():
    optima = fit(SEPARATE, 3, race=False, tol=1e-9).optima()
    assert optima.counts.sum() == 128
    assert (np.diff(optima.values) < -1e-3).all()
    assert optima.best_count > 64


def test_a_race_does_not_hide_how_often_the_best_was_reached():
    """Lanes that were merged into another end where it ends, in whichever rung that was."""
    fits = fit(OVERLAPPING, 3, race=True, tol=1e-11, max_iter=3000)
    last = np.arange(128)
    for _ in race.RUNGS:
        last = np.where(fits.follows[last] >= 0, fits.follows[last], last)
    reached = fits.sound[last] & (fits.objective[last] > fits.objective[fits.sound].max() - 1e-3)
    assert reached.sum() > fits.sound.sum()
    optima = fits.optima()
    assert optima.best_count == reached.sum()
    assert optima.missed <= 3 / 128


def test_follows_by_hand():
    """A start that joined another, which later joined a third, counts where the third ended."""
    status = np.array([Status.PRUNED, Status.PRUNED, Status.CONVERGED, Status.PRUNED])
    objective = np.array([-7.0, -6.0, -5.0, -9.0])
    follows = np.array([1, 2, -1, -1])
    fits = jaxem.Fit(None, objective, objective, status, np.zeros(4, int), follows=follows)
    optima = fits.optima()
    np.testing.assert_array_equal(optima.values, [-5.0])
    np.testing.assert_array_equal(optima.counts, [3])
