"""The sample of rows that are read once: without bias, and the same whatever the blocks."""

import jax
import numpy as np
from problems import mixture

import jaxem
from jaxem.stream.survey import scaling_of, survey


def drawn(x, weight, most, key=0, block=40):
    def give():
        for i in range(0, len(x), block):
            yield jaxem.Data(x[i : i + block], weight[i : i + block])

    rows = jaxem.open_rows(give)
    return survey(mixture(k=1), rows, jax.random.key(key), lambda d, row_bytes: most)


def test_sums_over_the_sample_estimate_those_over_all_rows():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(300, 2)), rng.gamma(0.3, size=300) ** 2
    weight[::7] = 0
    total, sums = weight @ x, []
    for key in range(400):
        sample = drawn(x, weight, 60, key).sample
        sums.append(sample.weight @ sample.x)
    error = np.std(sums, axis=0) / np.sqrt(len(sums))
    assert (np.abs(np.mean(sums, axis=0) - total) < 4 * error).all()
    assert (error < 0.05 * np.abs(weight @ np.abs(x))).all()


def test_a_row_of_large_weight_is_in_every_sample():
    x, weight = np.arange(600.0).reshape(300, 2), np.ones(300)
    weight[123] = 1e4
    for key in range(20):
        sample = drawn(x, weight, 30, key).sample
        kept = (sample.x == x[123]).all(axis=1)
        assert kept.sum() == 1 and sample.weight[kept] == 1e4


def test_rows_of_equal_weight_have_equal_weights_and_their_order():
    x = np.arange(600.0).reshape(300, 2)
    sample = drawn(x, np.ones(300), 50).sample
    assert len(sample.x) == 50 and np.ptp(sample.weight) == 0
    assert (np.diff(sample.x[:, 0]) > 0).all()


def test_the_sample_depends_on_the_key_and_not_on_the_blocks():
    x, weight = np.random.default_rng(1).normal(size=(300, 2)), np.ones(300)
    one, other = (drawn(x, weight, 50, block=b).sample for b in (7, 300))
    np.testing.assert_array_equal(one.x, other.x)
    assert (drawn(x, weight, 50, key=1).sample.x != one.x).any()


def test_no_base_point_lies_far_above_a_row_outside_the_sample():
    """Counts near 10^6 have a base point there; one row near 0 forbids it."""
    x = np.random.default_rng(2).poisson(1e6, size=(3000, 1)).astype(float)
    model = jaxem.Mixture(jaxem.Poisson(), n_components=1)

    def shift(x):
        rows = jaxem.open_rows(lambda: [x])
        return scaling_of(model, survey(model, rows, jax.random.key(0), lambda d, b: 50)).shift

    assert shift(x) > 0
    x[1234] = 0.0
    assert shift(x) == 0


def test_a_category_that_the_sample_lacks_keeps_its_rows():
    """One row in 3,000 has a level of its own, and a count where all others are 0."""
    x = np.random.default_rng(3).integers(0, 2, size=(3000, 3)).astype(float)
    x[2345] = 3
    for family in (jaxem.Categorical(4), jaxem.Poisson()):
        x[:, 2] = 0 if isinstance(family, jaxem.Poisson) else x[:, 2]
        x[2345, 2] = 3
        model = jaxem.Mixture(family, n_components=2)
        here = jaxem.fit(model, x, key=0, n_starts=16).best()
        fits = jaxem.fit(model, lambda x=x: [x], key=0, n_starts=16, memory_limit=20_000)
        assert (fits.log_likelihood > 10 * here.log_likelihood).all()  # also of PRUNED starts
        there = fits.best()
        assert there.log_likelihood > here.log_likelihood - 1.0
        total = np.sum(np.asarray(model.log_prob(there.params, x), float))
        np.testing.assert_allclose(there.log_likelihood, total, rtol=1e-9)
