"""Proposals: what a split and a merge make of responsibilities, and what they find."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import clouds, mixture

import jaxem
from jaxem import Status
from jaxem.batch import lanes, scheduler
from jaxem.batch.grid import Grid
from jaxem.core.status import SOUND
from jaxem.engine.steps import Control
from jaxem.models import proposals
from jaxem.plot import new_figure, starts
from jaxem.results.optima import Optima
from jaxem.search import split_merge

KEY = jax.random.key(4)


def grid(side, rows, spread=0.12, seed=0):
    """Clusters of so many rows each on a square grid."""
    rng = np.random.default_rng(seed)
    means = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)
    return np.repeat(means, rows, axis=0) + rng.normal(size=(side * side * rows, 2)) * spread


GRID = grid(6, 30)


@functools.cache
def all_found():
    """The log-likelihood with all 36 clusters found."""
    label = np.repeat(np.arange(36), 30)
    fits = jaxem.fit(mixture(k=36), GRID, key=KEY, n_starts=1, init=label)
    return float(fits.best().log_likelihood)


# One move -----------------------------------------------------------------------------------


CORNERS = 10.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1]])


def corners(n=60, seed=1):
    """Four clusters far apart, and a parent whose components 0 and 1 share the first while 2 covers
    the second and the third."""
    rng = np.random.default_rng(seed)
    x = np.repeat(CORNERS, n, axis=0) + rng.normal(size=(4 * n, 2))
    label = np.repeat([0, 2, 2, 3], n)
    label[: n // 2] = 1
    return x, np.eye(4)[label] * 0.97 + 0.01 * (1 - np.eye(4)[label])


def child_of(model, params, x, seed, weight=None):
    weight = np.ones(len(x)) if weight is None else weight
    return model.propose(
        jax.random.key(seed), params, jaxem.Data(jnp.asarray(x), jnp.asarray(weight))
    )


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_half_of_the_proposals_make_the_move_that_is_wanted(kind):
    x, resp = corners()
    model = mixture(kind, k=4)
    parent = model.seed(jnp.asarray(x), jnp.asarray(resp))
    right = 0
    for seed in range(40):
        means = np.asarray(child_of(model, parent, x, seed).components.means)
        near = np.argmin(np.linalg.norm(means[:, None] - CORNERS, axis=-1), axis=1)
        right += set(near) == {0, 1, 2, 3}
    # The redundant two are ranked first and second of four, the double one first of two.
    assert 12 <= right <= 30


def test_responsibilities_stay_shares_and_what_is_off_stays_off():
    x, resp = corners()
    resp = np.c_[resp, np.zeros(len(x))]
    active = jnp.array([True] * 4 + [False])
    weight = np.random.default_rng(0).uniform(0, 2, len(x))

    def moments(r):
        w = weight[:, None]
        return jnp.concatenate([r.T @ w, r.T @ (w * x), r.T @ (w * x**2)], axis=1)

    def value(m):
        count = jnp.maximum(m[:, :1], 1e-30)
        variance = jnp.maximum(m[:, 3:] / count - (m[:, 1:3] / count) ** 2, 1e-30)
        own = count[:, 0] * (jnp.log(count[:, 0]) - 0.5 * jnp.sum(jnp.log(variance), axis=1))
        return jnp.where(m[:, 0] > 0, own, 0)

    rows = jnp.asarray(x), jnp.asarray(weight), jnp.asarray(resp)
    move = jax.jit(lambda key: proposals.split_and_merge(key, *rows, active, moments, value))
    for seed in range(30):
        out = move(jax.random.key(seed))
        chex.assert_shape(out, resp.shape)
        np.testing.assert_allclose(np.sum(out, axis=1), 1, atol=1e-12)
        assert (np.asarray(out) >= -1e-12).all()
        assert (np.asarray(out)[:, 4] == 0).all()
        # Of four components one is as it was; three have changed.
        same = [k for k in range(4) if np.allclose(out[:, k], resp[:, k], atol=1e-12)]
        assert len(same) == 1


def test_most_proposals_leave_their_race():
    fits = jaxem.fit(mixture(k=36), GRID, key=KEY, n_starts=64, split_merge=1)
    proposals = fits.parent >= 0
    assert np.sum(proposals) == 16  # a quarter of the starts
    # By either ranking a quarter of them goes on at most.
    assert 1 <= np.sum(fits.n_iter[proposals] > split_merge.RACE_ITERATIONS) <= 8


# A split and a merge are of responsibilities, which know no family; what they are ranked by is of
# its statistics: about a base point, in parts, with pooled covariances.
FAMILIES = {
    "tied": (jaxem.Gaussian("tied"), clouds()),
    "poisson": (jaxem.Poisson(), np.random.default_rng(0).poisson([[3.0]] * 100 + [[20.0]] * 100)),
    "exponential": (jaxem.Exponential(), np.random.default_rng(0).exponential(2.0, (200, 1))),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_have_proposals(name):
    family, x = FAMILIES[name]
    model = jaxem.Mixture(family, n_components=4)
    fits = jaxem.fit(model, x.astype(float), key=KEY, n_starts=32, split_merge=1, max_iter=60)
    proposals = fits.parent >= 0
    assert proposals.any()
    assert np.isin(fits.status[proposals], (*SOUND, Status.PRUNED, Status.DEGENERATE)).mean() > 0.7
    own = fits[fits.sound & proposals] if (fits.sound & proposals).any() else fits[fits.sound]
    one = lambda params: jnp.sum(model.log_prob(params, x.astype(float)))  # noqa: E731
    want = jax.vmap(one)(own.params)
    np.testing.assert_allclose(own.log_likelihood, want, rtol=1e-8)


# What they find -----------------------------------------------------------------------------


def search(**options):
    return jaxem.fit(mixture(k=36), GRID, key=jax.random.key(1), n_starts=64, **options)


def test_proposals_find_what_no_start_reached():
    without, found = search(race=False), search(split_merge=16)
    assert float(without.best().objective) < all_found() - 10
    assert float(found.best().objective) > all_found() - 1e-3
    assert found.parent[np.argmax(np.where(found.sound, found.objective, -np.inf))] >= 0


def test_proposals_take_the_places_of_what_left_the_race():
    x = clouds(400, gap=2.0)
    options = dict(key=KEY, n_starts=128)
    raced = jaxem.fit(mixture(k=5), x, race=True, **options)
    fits = jaxem.fit(mixture(k=5), x, split_merge=2, **options)
    proposed = fits.parent >= 0
    assert 0 < proposed.sum() <= 2 * 128 * split_merge.MAX_FRACTION
    assert (raced.status[proposed] == Status.PRUNED).all()
    assert (raced.follows[proposed] == -1).all() and not np.isin(
        np.flatnonzero(proposed), raced.follows
    ).any()
    for one, other in zip(
        jax.tree.leaves(fits[~proposed]), jax.tree.leaves(raced[~proposed]), strict=False
    ):
        np.testing.assert_array_equal(one, other)
    assert (fits.status != Status.RUNNING).all()
    assert fits.report.needed > raced.report.needed
    assert fits.report.needed > np.sum(fits.n_iter + 1)  # those that proposals replaced count too


def test_a_child_near_a_spurious_maximum_is_not_sound():
    x = clouds(120, gap=2.0)
    fits = jaxem.fit(mixture(k=5), x, key=KEY, n_starts=256, split_merge=3)
    proposed = fits.parent >= 0
    assert (fits.status[proposed] == Status.DEGENERATE).any()
    rows = fits.params.weights.min(axis=1) * 120
    assert (rows[proposed & fits.sound] >= 3 * 3).all()
    assert (rows[~proposed & fits.sound] < 3 * 3).any()  # starts are judged as they always are


def test_a_generation_differs_from_the_one_before():
    x = jnp.asarray(clouds(200, gap=2.0))
    model, zero = mixture(k=4), jnp.zeros(1, jnp.int32)
    data = jaxem.Data(x, jnp.ones(200))
    grid = Grid(model, data, model.prepare(data), None, shared=True)
    params = jax.tree.map(lambda leaf: leaf[None], model.init(KEY, x))
    ids = lanes.LaneIds(zero, zero, zero)
    one, two, again = (
        lanes.propose(
            grid, ids, params, lanes.Draw(KEY, generation=generation), Control()
        ).point.params.components.means
        for generation in (0, 1, 0)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, two)


def interrupts(patch, module, name, calls=1):
    """Ctrl-C the n-th time that this is called."""
    real, left = getattr(module, name), [calls]

    def call(*args, **how):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return real(*args, **how)

    patch.setattr(module, name, call)


@pytest.mark.parametrize(("module", "name"), [(scheduler, "propose"), (split_merge, "promote")])
def test_interrupted_it_goes_on_to_the_same_bits(tmp_path, module, name):
    x, path = clouds(400, gap=2.0), tmp_path / "point"
    options = dict(key=KEY, n_starts=64, split_merge=2)
    want = jaxem.fit(mixture(k=5), x, **options)
    with pytest.MonkeyPatch.context() as patch:
        interrupts(patch, module, name)
        with pytest.warns(RuntimeWarning, match="interrupted"):
            some = jaxem.fit(mixture(k=5), x, checkpoint=path, **options)
    assert (some.parent >= 0).any() == (name == "promote")
    got = jaxem.fit(mixture(k=5), x, checkpoint=path, **options)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(one, other)
    assert got.report.needed == want.report.needed


@pytest.mark.parametrize("call", [1, 2])
def test_ctrl_c_ends_the_whole_call_and_keeps_what_is_finished(monkeypatch, call):
    monkeypatch.setattr("jaxem.api.many_data_sets.ALONE", 1)
    interrupts(monkeypatch, split_merge.SplitMerge, "_judge", call)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        many = jaxem.fit_many(
            mixture(k=4), [clouds(200), clouds(200, 1)], key=KEY, n_starts=64, split_merge=1
        )
    assert many.report.interrupted
    begun = np.isfinite(many.log_likelihood).any(axis=1)
    assert begun.tolist() == [True, call == 2]
    assert (many.status[call - 1] == Status.RUNNING).any()
    if call == 1:
        assert (many.status[1] == Status.RUNNING).all()
    else:
        assert (many.parent[0] >= 0).any() and many[0].best().status == Status.CONVERGED


def test_the_trace_of_a_child_is_its_own():
    x = clouds(400, gap=2.0)
    fits = jaxem.fit(mixture(k=5), x, key=KEY, n_starts=64, split_merge=1, trace=True)
    for i in np.flatnonzero((fits.parent >= 0) & fits.sound):
        line = fits.trace[i][: fits.n_iter[i] + 1]
        assert np.isfinite(line).all() and np.isnan(fits.trace[i][fits.n_iter[i] + 1 :]).all()
        assert line[-1] == pytest.approx(fits.objective[i], rel=1e-12)
        assert (np.diff(line) > -1e-9 * abs(line[-1])).all()


def test_few_starts_have_proposals_too():
    fits = jaxem.fit(mixture(k=5), clouds(400, gap=2.0), key=KEY, n_starts=24, split_merge=2)
    assert (fits.parent >= 0).any()


def test_every_data_set_has_proposals_of_its_own():
    sets = [clouds(400, seed, gap=2.0) for seed in range(3)]
    options = dict(key=KEY, n_starts=32, split_merge=2)
    many = jaxem.fit_many(mixture(k=4), [*sets, np.zeros((0, 2))], **options)
    assert (many.parent[:3] >= 0).any(axis=1).all() and (many.parent[3] == -1).all()
    assert (many.parent < 32).all()
    for i in range(3):
        proposed = np.flatnonzero(many.parent[i] >= 0)
        assert many.sound[i][many.parent[i][proposed]].mean() > 0.9  # places can be taken again
    other = jaxem.fit_many(mixture(k=4), [sets[0], sets[0], sets[2]], **options)
    np.testing.assert_array_equal(many.parent[[0, 2]], other.parent[[0, 2]])
    np.testing.assert_allclose(many.objective[[0, 2]], other.objective[[0, 2]], rtol=1e-9)


def test_a_sweep_hands_generations_on():
    x = clouds(400, gap=2.0)
    table = jaxem.sweep(x, range(1, 5), key=KEY, n_starts=64, split_merge=1)
    assert all(np.isfinite(row.criteria.bic) for row in table.rows)
    assert table[2, "full"].fits.parent is None or (table[2, "full"].fits.parent == -1).all()
    assert (table[4, "full"].fits.parent >= 0).any()


# Refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (dict(race=False), "needs the race"),
        (dict(labels=np.r_[0, np.full(299, -1)]), "impossible with frozen"),
        (dict(init=np.arange(300) % 3), "impossible with frozen"),
        (dict(init="kmean"), "init must be one of"),
        (dict(split_merge=-1), "split_merge must be"),
        (dict(split_merge=1.5), "split_merge must be"),
    ],
)
def test_what_cannot_have_proposals_says_so(options, why):
    with pytest.raises(ValueError, match=why):
        jaxem.fit(mixture(), clouds(), **{"key": KEY, "split_merge": 1} | options)


def test_the_old_name_goes_on_working():
    with pytest.warns(FutureWarning, match="generations= is now split_merge="):
        old = jaxem.fit(mixture(k=4), clouds(200, gap=2.0), key=KEY, n_starts=24, generations=1)
    new = jaxem.fit(mixture(k=4), clouds(200, gap=2.0), key=KEY, n_starts=24, split_merge=1)
    np.testing.assert_array_equal(old.objective, new.objective)


def test_frozen_parameters_have_no_proposals():
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3, frozen=("weights",))
    with pytest.raises(ValueError, match="impossible with frozen"):
        jaxem.fit_many(model, [clouds()], key=KEY, split_merge=1)


# Accounts -----------------------------------------------------------------------------------


def test_optima_of_proposals_are_listed_and_not_counted():
    optima = Optima.of(np.array([-3.0, -2.0, -2.0]), 1e-3, 5, np.array([-1.0, -2.0]))
    np.testing.assert_array_equal(optima.values, [-1.0, -2.0, -3.0])
    np.testing.assert_array_equal(optima.counts, [0, 2, 1])
    assert optima.best_count == 0
    assert optima.missed == pytest.approx(1 / 5)


def test_accounts_of_fits_with_proposals():
    status = np.array([Status.CONVERGED, Status.PRUNED, Status.CONVERGED, Status.PRUNED])
    objective = np.array([-5.0, -7.0, -4.0, -9.0])
    follows, parent = np.array([-1, 0, -1, -1]), np.array([-1, -1, 0, 0])
    how = dict(follows=follows, parent=parent)
    fits = jaxem.Fit(None, objective, objective, status, np.zeros(4, int), **how)
    optima = fits.optima()
    np.testing.assert_array_equal(optima.values, [-4.0, -5.0])
    np.testing.assert_array_equal(optima.counts, [0, 2])
    axis = new_figure(5, 4).add_subplot()
    starts(axis, fits)
    drawn = [text.get_text() for text in axis.get_legend().get_texts()]
    assert sorted(drawn) == [
        "1 ended there",
        "1 joined one that did",
        "1 made by a split and a merge",
    ]


def test_saved_and_loaded(tmp_path):
    model = mixture(k=5)
    fits = jaxem.fit(model, clouds(400, gap=2.0), key=KEY, n_starts=64, split_merge=1)
    jaxem.save(tmp_path / "fits.npz", (model, fits))
    np.testing.assert_array_equal(jaxem.load(tmp_path / "fits.npz")[1].parent, fits.parent)
    one = fits[int(np.flatnonzero(fits.parent >= 0)[0])]
    jaxem.save(tmp_path / "one.npz", (model, one))
    assert jaxem.load(tmp_path / "one.npz")[1].parent == one.parent
