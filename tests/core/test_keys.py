"""Keys as callers give them, and reports that compare as what they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.core.keys import as_key
from jaxem.tools import kl_divergence

X = np.random.default_rng(0).normal(size=(40, 2))
MODEL = jaxem.Mixture(jaxem.Gaussian("diag"), n_components=2)


def data_of(key):
    return np.asarray(jax.random.key_data(key))


def test_an_integer_is_the_seed_of_a_key():
    for seed in (3, np.int32(3), -3, 2**40):
        np.testing.assert_array_equal(data_of(as_key(seed)), data_of(jax.random.key(int(seed))))


def test_keys_of_either_style_stay():
    for key in (jax.random.key(1), jax.random.PRNGKey(1), jax.random.key(1, impl="rbg")):
        assert as_key(key) is key
    traced = jax.jit(jax.vmap(lambda key: jax.random.uniform(as_key(key))))
    assert traced(jax.random.split(jax.random.key(0), 3)).shape == (3,)


@pytest.mark.parametrize(
    "key",
    [None, "0", 1.5, True, 2**70, jnp.zeros(2), jnp.zeros(3, jnp.uint32),
     jax.random.split(jax.random.key(0), 2)],
    ids=lambda key: repr(key)[:20],
)  # fmt: skip
def test_anything_else_is_told_what_to_write(key):
    with pytest.raises(ValueError, match=r"key must.*key=(jax\.random\.key\(0\)|0)"):
        as_key(key)


def test_every_door_takes_an_integer():
    key, few = jax.random.key(7), dict(n_starts=2, max_iter=3)
    pairs = [
        (jaxem.fit(MODEL, X, key=k, **few).log_likelihood,
         jaxem.fit_many(MODEL, [X], key=k, **few).log_likelihood,
         jaxem.sweep(X, [2], "diag", key=k, **few).best.fits.log_likelihood,
         MODEL.init(k, X).means)
        for k in (7, key)
    ]  # fmt: skip
    for got, want in zip(*pairs, strict=True):
        np.testing.assert_array_equal(got, want)
    params = MODEL.init(7, X)
    np.testing.assert_array_equal(MODEL.sample(7, params, 5)[0], MODEL.sample(key, params, 5)[0])
    got, want = (kl_divergence(MODEL, params, MODEL, params, key=k, n=9) for k in (7, key))
    assert got.value == want.value
    for call in (jaxem.fit, jaxem.fit_many):
        with pytest.raises(ValueError, match="key must be one random key"):
            call(MODEL, X, key="7")


def test_reports_compare_as_what_they_are():
    short, long = jaxem.Report(needed=1), jaxem.Report(needed=2)
    assert short == jaxem.Report(needed=1) and short != long and short != 1
    assert hash(short) == hash(jaxem.Report(needed=1)) and len({short, long}) == 2


def test_a_fit_with_another_report_compiles_nothing():
    traced = []

    @jax.jit
    def likelihood(fit):
        traced.append(fit.report)
        return 2 * fit.log_likelihood

    fits = [
        jaxem.Fit(None, jnp.ones(3), jnp.ones(3), jnp.ones(3, int), jnp.ones(3, int), report=report)
        for report in (jaxem.Report(needed=1), jaxem.Report(needed=2), None)
    ]
    for fit in fits:
        likelihood(fit)
    assert traced == [jaxem.Report(needed=1)]
    assert jax.tree.structure(fits[0]) == jax.tree.structure(fits[1])
    assert jax.tree.map(np.asarray, fits[1]).report == jaxem.Report(needed=2)
    assert fits[1][0].report == fits[1].report  # leaves change, the note stays
