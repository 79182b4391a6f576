"""Data sets judged and padded many at a time: as each would be by itself."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import Status
from jaxem.data import ragged
from jaxem.data.sets import as_list

GAUSSIAN, POISSON = jaxem.Gaussian("full"), jaxem.Poisson()
FINE, EMPTY, NONFINITE = Status.RUNNING, Status.EMPTY_COMPONENT, Status.NONFINITE


def counts(lengths, seed=0, d=2):
    rng = np.random.default_rng(seed)
    return [rng.poisson(4.0, (n, d)).astype(np.float32) for n in lengths]


def data_sets(sets, weights):
    return [jaxem.Data(x, w) for x, w in zip(sets, weights, strict=True)]


def judge_of(family):
    return lambda data: family.validate(data.x)


def judged(sets, weights=None, k=3, family=POISSON):
    weights = [None] * len(sets) if weights is None else weights
    return list(ragged.judge(data_sets(sets, weights), k, judge_of(family)))


def alone(sets, weights=None, k=3, family=POISSON):
    weights = [None] * len(sets) if weights is None else weights
    each = data_sets(sets, weights)
    return [ragged.judge([one], k, judge_of(family))[0] for one in each]


def spoilt(one, value, row=5, column=1):
    one = one.copy()
    one[row, column] = value
    return one


def bad_counts():
    """Data sets that no mixture of three Poisson components fits, with what becomes of them."""
    (one,) = counts([40])
    return [
        (np.zeros((0, 2), np.float32), EMPTY),
        (np.zeros((0, 1)), EMPTY),
        (np.zeros((40, 0)), EMPTY),
        (one[:2], EMPTY),
        (spoilt(one[:2], np.nan, 1), EMPTY),
        (spoilt(one, np.nan), NONFINITE),
        (spoilt(one, -np.inf), NONFINITE),
        (spoilt(one, -1), NONFINITE),
        (spoilt(one, 0.5), NONFINITE),
    ]


@pytest.mark.parametrize("n", [40, 4000, 40_000])  # many to a block, a few, none with another
def test_bad_data_sets_are_found_among_good_ones(n):
    bad = bad_counts()
    sets, want = counts([n, n + 1]), [FINE, FINE]
    for i, (one, status) in enumerate(bad):
        sets += [one, *counts([n] * (i % 3), i)]
        want += [status, *[FINE] * (i % 3)]
    assert judged(sets) == alone(sets) == want


@pytest.mark.parametrize("where", [0, 700, 1999])
@pytest.mark.parametrize("number", range(len(bad_counts())))
def test_one_bad_data_set_among_thousands_fails_alone(where, number):
    sets, want = counts([40] * 2000), [FINE] * 2000
    sets[where], want[where] = bad_counts()[number]
    assert judged(sets) == want


def test_a_family_that_takes_the_values_judges_no_harm():
    sets = [one for one, _ in bad_counts()] + counts([30] * 5)
    want = [EMPTY] * 5 + [NONFINITE] * 2 + [FINE] * 7
    assert judged(sets, family=GAUSSIAN) == alone(sets, family=GAUSSIAN) == want


def test_weights_are_judged_with_their_data_sets():
    sets = counts([40] * 300)
    weights = [np.ones(40) for _ in sets]
    want = [FINE] * 300
    for i, (rows, value, status) in {
        3: (slice(None), 0.0, EMPTY),
        4: (slice(2, None), 0.0, EMPTY),
        5: (slice(3, None), 0.0, FINE),
        100: (slice(0, 1), np.nan, NONFINITE),
        101: (slice(0, 1), -1.0, NONFINITE),
        102: (slice(0, 1), np.inf, NONFINITE),
        299: (slice(None), np.nan, EMPTY),
    }.items():
        weights[i][rows], want[i] = value, status
    assert judged(sets, weights) == alone(sets, weights) == want


@pytest.mark.parametrize("family", [POISSON, GAUSSIAN])
@pytest.mark.parametrize(
    "rows, value, status",
    [
        (slice(2, None), 0.0, EMPTY),
        (slice(0, 1), -1.0, NONFINITE),
        (slice(0, 1), np.nan, NONFINITE),
        (slice(0, 1), np.inf, NONFINITE),
    ],
)
def test_one_bad_weight_among_thousands_fails_its_data_set_alone(family, rows, value, status):
    sets, weights = counts([40] * 2000), np.ones((2000, 40))
    weights[700, rows] = value
    want = [FINE] * 2000
    want[700] = status
    assert judged(sets, list(weights), family=family) == want


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_found_by_no_family_s_leave(value):
    sets = counts([40] * 2000)
    sets[700] = spoilt(sets[700], value)
    assert judged(sets, family=GAUSSIAN)[699:702] == [FINE, NONFINITE, FINE]


def test_settings_that_fit_no_data_set_fail_all():
    family = jaxem.Poisson(prior=jaxem.Gamma(-1.0, 1.0))
    assert judged(counts([40] * 50), family=family) == [NONFINITE] * 50


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "lengths", [[5], [40] * 3000, [64] * 2000, [40] * 1500 + [41] * 700 + [64], [40_000, 3, 50_000]]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_padding_by_hand(lengths, dtype, weighted):
    sets, length = counts(lengths), max(64, *lengths, 0)
    rng = np.random.default_rng(2)
    weights = [rng.uniform(size=n) if weighted else None for n in lengths]
    x, w, label = ragged.pad(data_sets(sets, weights), length, dtype)
    assert label is None
    assert x.shape == (len(sets), length, 2) and x.dtype == w.dtype == dtype
    for i, (one, weight) in enumerate(zip(sets, weights, strict=True)):
        n = len(one)
        np.testing.assert_array_equal(x[i, :n], one)
        assert (x[i, n:] == one[0]).all()
        np.testing.assert_array_equal(w[i, :n], np.ones(n) if weight is None else dtype(weight))
        assert (w[i, n:] == 0).all()


def test_blocks_take_every_data_set_once_and_large_ones_alone():
    rng = np.random.default_rng(0)
    for sizes in ([1], [0, 0, 0], rng.integers(0, 3000, 500), [10, 1 << 17, 10, 10, 1 << 16, 1]):
        sets = [jaxem.Data(np.zeros((n, 1), np.int8), None) for n in sizes]
        blocks = ragged._blocks(sets)
        assert [i for own in blocks for i in range(len(sets))[own]] == list(range(len(sets)))
        for own in blocks:
            some = sets[own]
            assert len(some) == 1 or sum(one.x.size for one in some) < 2 * ragged.BLOCK
    assert [own.stop - own.start for own in blocks] == [1, 1, 2, 1, 1]


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_one_array_of_data_sets_is_a_list_of_them(array):
    x = np.stack(counts([9] * 4))
    sets = as_list(array(x))
    assert all(one.weight is None and isinstance(one.x, np.ndarray) for one in sets)
    np.testing.assert_array_equal(np.stack([one.x for one in sets]), x)
    with pytest.raises(ValueError, match=r"x\[0\] must be numeric"):
        as_list(np.full((2, 3, 1), "a"))
