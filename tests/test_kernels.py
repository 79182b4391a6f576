"""The blocked step equals the reference for any block size, weights and switched-off components."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.kernels import as_blocks, softmax_moments, softmax_moments_reference
from jaxem.numerics import inverse_factor


def _features(x):
    return jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T])


@pytest.mark.parametrize("rows", [1, 7, 32, 33, 1000])
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("exponent", [1.0, 0.3])
def test_blocked_equals_reference(rows, hard, exponent):
    rng = np.random.default_rng(rows)
    x = jnp.asarray(rng.normal(size=(33, 3)))
    weight = jnp.asarray(rng.integers(0, 3, 33).astype(float))
    beta = jnp.asarray(rng.normal(size=(5, 4))).at[2, 0].set(-1e30)
    want = softmax_moments_reference(_features(x), beta, weight, exponent, hard)
    reference = jnp.asarray(0.7)
    got = softmax_moments(
        _features, beta, as_blocks(x, weight, rows), reference, jnp.asarray(exponent), hard
    )
    got = got[0], got[1] + 0.7 * weight.sum()
    chex.assert_trees_all_close(got, want, rtol=1e-12, atol=1e-12)
    chex.assert_tree_all_finite(got)


@pytest.mark.parametrize("d", [1, 2, 3, 8, 12, 13, 30])
def test_inverse_factor_equals_lapack(d):
    rng = np.random.default_rng(d)
    a = rng.normal(size=(4, 3, d, d + 2))
    matrix = jnp.asarray(a @ a.swapaxes(-1, -2))
    w, log_det, ok = jax.vmap(inverse_factor)(matrix)
    eye = np.broadcast_to(np.eye(d), matrix.shape)
    np.testing.assert_allclose(w @ matrix @ w.swapaxes(-1, -2), eye, atol=1e-8)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1], rtol=1e-9, atol=1e-9)
    assert ok.all()


def test_inverse_factor_flags_a_singular_matrix_and_stays_finite():
    matrix = jnp.stack([jnp.ones((3, 3)), jnp.eye(3)])
    w, log_det, ok = inverse_factor(matrix)
    assert ok.tolist() == [False, True]
    chex.assert_tree_all_finite((w, log_det))


@pytest.mark.parametrize("d", [2, 14])
def test_inverse_factor_gradient_is_the_inverse(d):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(d, 2 * d))
    matrix = jnp.asarray(a @ a.T)
    gradient = jax.grad(lambda m: inverse_factor(m)[1])(matrix)
    np.testing.assert_allclose(gradient, np.linalg.inv(matrix), rtol=1e-7, atol=1e-9)

    def precision_norm(m):
        w = inverse_factor(m)[0]
        return jnp.sum((w.T @ w) ** 2)

    def reference(m):
        return jnp.sum(jnp.linalg.inv(m) ** 2)

    got, want = jax.grad(precision_norm)(matrix), jax.grad(reference)(matrix)
    np.testing.assert_allclose(got, 0.5 * (want + want.T), rtol=1e-6, atol=1e-9)
