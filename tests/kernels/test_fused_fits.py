"""Whole fits by the fused kernel (interpreted where there is no GPU) are those of the blocked."""

import jax
import numpy as np
import pytest
from helpers import assert_same_ends
from problems import clouds, mixture

import jaxem

KEY = jax.random.key(3)
X = clouds(90)
OPTIONS = dict(key=KEY, n_starts=3, max_iter=30, accelerate=None)


@pytest.mark.parametrize("kind", ["full", "spherical"])
def test_fit(kind):
    fused, blocked = (
        jaxem.fit(mixture(kind), X, kernel=name, **OPTIONS) for name in ("fused", "blocked")
    )
    assert (fused.report.kernel, blocked.report.kernel) == ("fused", "blocked")
    assert_same_ends(fused, blocked)
    np.testing.assert_array_equal(fused.n_iter, blocked.n_iter)


def test_fit_many():
    sets = [X[:50], X[50:]]
    fused, blocked = (
        jaxem.fit_many(mixture(), sets, kernel=name, **OPTIONS) for name in ("fused", "blocked")
    )
    assert_same_ends(fused, blocked)
    np.testing.assert_array_equal(fused.n_iter, blocked.n_iter)


def test_em():
    params = mixture().init(KEY, X)
    fused, blocked = (
        jaxem.em(mixture(), params, X, max_iter=30, kernel=name) for name in ("fused", None)
    )
    assert_same_ends(fused, blocked)
    np.testing.assert_array_equal(fused.n_iter, blocked.n_iter)


def test_a_kernel_that_does_not_exist():
    with pytest.raises(ValueError, match="kernel must be one of reference, blocked, fused"):
        jaxem.fit(mixture(), X, kernel="flash", **OPTIONS)
