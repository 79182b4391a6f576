"""Many data sets in one call: each fits as it would alone, and fails alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from helpers import assert_same
from problems import clouds, mixture

import jaxem
from jaxem import Status
from jaxem.data import ragged

KEY = jax.random.key(5)
SIZES = (300, 180, 256, 40, 300)
SETS = [clouds(n, seed) for seed, n in enumerate(SIZES)]
FAILED = (Status.SINGULAR, Status.EMPTY_COMPONENT, Status.NONFINITE)


def fit_many(x, n_starts=4, **options):
    return jaxem.fit_many(mixture(), x, key=KEY, n_starts=n_starts, **options)


@pytest.fixture(scope="module")
def many():
    return fit_many(SETS)


# Shapes and order -----------------------------------------------------------------------------


def test_axes(many):
    assert many.status.shape == many.n_iter.shape == many.log_likelihood.shape == (5, 4)
    assert many.params.weights.shape == (5, 4, 3)
    assert many.params.covariances.shape == (5, 4, 3, 2, 2)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(many))
    best = many.best()
    assert best.status.shape == (5,)
    np.testing.assert_array_equal(best.objective, many.objective.max(axis=1))


def test_likelihoods_belong_to_their_data_sets(many):
    log_prob = jax.jit(lambda p, x: jnp.sum(mixture().log_prob(p, x)))
    for i, x in enumerate(SETS):
        np.testing.assert_allclose(
            many.log_likelihood[i, 0], log_prob(many[i, 0].params, x), rtol=1e-9
        )


def test_groups_lengths_and_weights_are_other_ways_to_say_it(many):
    ids = np.repeat([10, 20, 30, 40, 50], SIZES)
    rows = np.concatenate(SETS)
    order = np.concatenate([np.flatnonzero(ids == i) for i in (50, 10, 40, 20, 30)])
    assert_same(fit_many(rows[order], groups=ids[order]), many)
    names = np.array(["a", "b", "c", "d", "e"])[ids // 10 - 1]
    assert_same(fit_many(rows[order], groups=names[order]), many)

    padded = np.full((5, 300, 2), np.nan)
    weight = np.zeros((5, 300))
    for i, x in enumerate(SETS):
        padded[i, : len(x)], weight[i, : len(x)] = x, 1
    assert_same(fit_many(padded, lengths=np.array(SIZES)), many)
    filled = np.where(np.isnan(padded), 1.0, padded)
    assert_same(fit_many(filled, sample_weight=weight), many)


def test_large_data_sets_start_at_parameters_of_their_own(monkeypatch):
    # The second data set's components begin in another order.
    starts = jax.tree.map(lambda leaf: np.stack([leaf, np.asarray(leaf)[::-1]]), _start())
    options = dict(n_starts=1, init=starts, max_iter=1, accelerate=None)
    together = fit_many(SETS[1:3], **options)
    monkeypatch.setattr("jaxem.api.many_data_sets.ALONE", 1)
    assert_same(fit_many(SETS[1:3], **options), together)


@pytest.mark.parametrize(
    "kinds, want",
    [("ff", "f"), ("ef", "f"), ("ii", "d"), ("fi", "d"), ("fd", "d"), ("?B", "d")],
)
def test_fits_are_as_wide_as_the_widest_data_set_and_integers_are_wide(kinds, want):
    sets = [np.floor(np.abs(SETS[0]) % 3).astype(kind) for kind in kinds]
    model = jaxem.Mixture(jaxem.Poisson(), n_components=1)
    fits = jaxem.fit_many(model, sets, key=KEY, n_starts=1, max_iter=1)
    assert fits.log_likelihood.dtype == fits.params.rates.dtype == want


def test_weights_repeat_rows():
    copies = np.random.default_rng(3).integers(0, 3, 300)
    start = _start()
    options = dict(n_starts=1, init=start)
    one = fit_many([SETS[0], SETS[1]], sample_weight=[copies, np.ones(180)], **options)
    other = fit_many([np.repeat(SETS[0], copies, axis=0), SETS[1]], **options)
    # The standardised frames agree to rounding, and so do the fits.
    assert_same(one, other, rtol=1e-6)


def _start():
    means = 4.0 * jnp.asarray([[0.1, 0.0], [1.0, 0.1], [0.5, 0.8]])
    components = jaxem.GaussianParams(means, jnp.tile(jnp.eye(2), (3, 1, 1)))
    return jaxem.MixtureParams(jnp.full(3, 1 / 3), components)


# As it would alone ----------------------------------------------------------------------------


def test_given_parameters_with_and_without_an_axis_of_data_sets():
    start = _start()
    fits = fit_many(SETS, n_starts=1, init=start)
    for i, x in enumerate(SETS):
        one = jaxem.fit(mixture(), x, key=KEY, n_starts=1, init=start)
        assert_same(fits[i], one)
    spread = jax.tree.map(lambda leaf: jnp.stack([leaf] * 5), start)
    assert_same(fit_many(SETS, n_starts=1, init=spread), fits)
    # Each data set has its own start: from a fixed point of its own, nothing moves.
    ends = jax.tree.map(lambda leaf: leaf[:, 0], fits.params)
    again = fit_many(SETS, n_starts=1, init=ends)
    assert (again.n_iter <= 2).all()


def test_a_data_set_is_the_same_whatever_the_others(many):
    others = [clouds(n, 77 + n) for n in (64, 300, 12, 90, 8)]
    for i in (0, 3):
        mixed = [*others[:i], SETS[i], *others[i + 1 :]]
        assert_same(fit_many(mixed)[i], many[i])


def test_starts_are_the_same_whatever_their_number(no_winners):
    assert_same(fit_many(SETS, n_starts=2), fit_many(SETS)[:, :2])


def test_equal_data_sets_have_starts_of_their_own():
    fits = fit_many([SETS[0]] * 2, max_iter=0)
    assert not np.isin(fits.log_likelihood[0], fits.log_likelihood[1]).any()


def test_three_hundred_groups():
    rng = np.random.default_rng(0)
    ids = np.sort(rng.integers(0, 300, 300 * 60))
    x = clouds(len(ids), 9)
    fits = fit_many(x, n_starts=2, groups=ids)
    assert fits.status.shape == (300, 2)
    assert fits.sound.mean() > 0.9
    assert fits.report.programs <= 60
    assert fits.report.waste < 3
    for i in (0, 137, 299):
        alone = [np.zeros((1, 2))] * i + [x[ids == i]]  # the same position, so the same keys
        one = fit_many(alone, n_starts=2)[i]
        np.testing.assert_array_equal(one.status, fits[i].status)
        # On its way into a single row a component loses the digits that are compared.
        assert_same(one[one.sound], fits[i][one.sound])


@pytest.mark.parametrize("name", ["poisson", "diag-map"])
def test_other_families(name):
    case = CASES[name]
    sets = [case.data(n, seed) for seed, n in enumerate((128, 100))]
    fits = jaxem.fit_many(case.model, sets, key=KEY, n_starts=2, init=case.truth, **case.settings)
    for i, x in enumerate(sets):
        one = jaxem.fit(case.model, x, key=KEY, n_starts=2, init=case.truth, **case.settings)
        assert_same(fits[i], one, rtol=1e-6)


def test_padding_never_leaves_the_support():
    sets = [jaxem.Data(np.full((2, 1), 5.0), None), jaxem.Data(np.full((3, 1), 7.0), None)]
    x, w, _ = ragged.pad(sets, 4, np.float64)
    np.testing.assert_array_equal(x[..., 0], [[5, 5, 5, 5], [7, 7, 7, 7]])
    np.testing.assert_array_equal(w, [[1, 1, 0, 0], [1, 1, 1, 0]])


# Failing alone --------------------------------------------------------------------------------


def bad_sets():
    """Data sets that cannot be fitted, by name."""
    nan, infinite = SETS[0].copy(), SETS[0].copy()
    nan[5, 1], infinite[0, 0] = np.nan, np.inf
    return {
        "empty": (np.zeros((0, 2)), Status.EMPTY_COMPONENT),
        "short": (SETS[0][:2], Status.EMPTY_COMPONENT),
        "constant": (np.full((50, 2), 3.0), Status.SINGULAR),
        "nan": (nan, Status.NONFINITE),
        "infinite": (infinite, Status.NONFINITE),
    }


@pytest.mark.parametrize("where", [0, 2])
def test_bad_groups_fail_alone(many, where):
    bad = bad_sets()
    mixed = [SETS[0], SETS[1], SETS[2]]
    mixed[where : where + 1] = [SETS[where], *(x for x, _ in bad.values())]
    fits = fit_many(mixed)
    assert fits.status.shape == (8, 4)
    for row, (name, (_, status)) in enumerate(bad.items(), where + 1):
        assert set(fits.status[row]) <= {status, *FAILED}, name
        if name in ("nan", "infinite"):
            assert (fits.status[row] == Status.NONFINITE).all()
        if name in ("empty", "short"):
            assert (fits.status[row] == Status.EMPTY_COMPONENT).all()
            assert np.isnan(fits.log_likelihood[row]).all()
        assert not fits.sound[row].any()
        assert (fits.follows[row] == -1).all()
    if where == 2:  # those in front keep their numbers, hence their keys
        assert_same(fits[:2], many[:2])
    good = np.r_[0 : where + 1, where + 6 : 8]
    assert fits.sound[good].all()
    assert fits.best().status.shape == (8,)
    assert "EMPTY_COMPONENT" in fits.summary()


def test_nothing_but_bad_groups():
    fits = fit_many([x for x, _ in bad_sets().values() if len(x) < 3])
    assert (fits.status == Status.EMPTY_COMPONENT).all()
    assert fits.params.means.shape == (2, 4, 3, 2)
    assert np.isnan(fits.params.means).all()


def test_an_empty_group_does_not_change_the_precision():
    sets = [SETS[0].astype(np.float32), np.zeros((0, 2), np.float32), []]
    fits = fit_many(sets)
    assert fits.log_likelihood.dtype == np.float32
    assert fits.sound[0].all()


def test_a_group_without_weight_fails_alone():
    fits = fit_many(SETS[:2], sample_weight=[np.ones(300), np.zeros(180)])
    assert fits.sound[0].all()
    assert (fits.status[1] == Status.EMPTY_COMPONENT).all()


# The door -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, options, message",
    [
        ([], {}, "x holds no data set"),
        (SETS[0], {}, "x must be a list of arrays"),
        (jnp.asarray(SETS[0]), {}, "x must be a list of arrays"),
        ([SETS[0], SETS[1][:, :1]], {}, "same number of columns"),
        (SETS[0], {"groups": np.zeros(5)}, r"groups must have shape \(300,\)"),
        (SETS[0], {"groups": np.zeros(300), "lengths": np.ones(3)}, "not both"),
        (np.zeros((2, 9, 2)), {"lengths": np.array([3, 10])}, "between 0 and 9"),
        (SETS[:2], {"sample_weight": [np.ones(300), np.ones(3)]}, r"sample_weight\[1\]"),
        (
            np.zeros((2, 9, 2)),
            {"lengths": np.array([9, 9]), "sample_weight": np.ones((2, 7))},
            r"sample_weight\[0\] must have shape \(9,\)",
        ),
        (SETS[:2], {"sample_weight": [np.ones(300)]}, "sample_weight"),
        (SETS[:2], {"init": "magic"}, "init must be one of"),
        (SETS[:2], {"n_starts": 0}, "n_starts must be at least 1"),
        ([np.array([["a"], ["b"]])], {}, r"x\[0\] must be numeric"),
    ],
)
def test_arguments_that_make_no_sense(x, options, message):
    with pytest.raises(ValueError, match=message):
        fit_many(x, **options)


def test_given_parameters_of_another_shape_are_refused():
    two = jax.tree.map(lambda leaf: leaf[:2], _start())
    with pytest.raises(ValueError, match="init"):
        fit_many(SETS, init=two)
    three_sets = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), _start())
    with pytest.raises(ValueError, match="init"):
        fit_many(SETS, init=three_sets)
