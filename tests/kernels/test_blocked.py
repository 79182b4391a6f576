"""The blocked step equals the reference for any block size, weights and switched-off components."""

import functools

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.kernels import Assignment, as_blocks, softmax_moments, softmax_moments_reference
from jaxem.numerics import elimination, exp_nonpositive, inverse_factor


def _features(x):
    return jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T])


# Few shapes, so that programs stay few; hypothesis varies what is in them.
SHAPES = st.sampled_from([(1, 1, 1, 1), (33, 3, 5, 7), (33, 3, 5, 33), (40, 2, 2, 16)])


@functools.partial(jax.jit, static_argnames=("rows", "hard"))
def _blocked(x, weight, beta, reference, exponent, rows, hard):
    blocks = as_blocks(x, weight, rows)
    moments, total = softmax_moments(_features, beta, blocks, reference, Assignment(exponent, hard))
    return moments, total + reference * jnp.sum(weight)


@hypothesis.given(
    shape=SHAPES,
    hard=st.booleans(),
    exponent=st.sampled_from([0.05, 0.5, 1.0, 2.0]),
    reference=st.sampled_from([-3.0, 0.0, 0.7]),
    off=st.integers(0, 5),
    spread=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 10**6),
)
def test_blocked_equals_reference(shape, hard, exponent, reference, off, spread, seed):
    n, d, k, rows = shape
    rng = np.random.default_rng(seed)
    x = jnp.asarray(spread * rng.normal(size=(n, d)))
    weight = jnp.asarray(rng.integers(0, 4, n).astype(float))
    beta = jnp.asarray(rng.normal(size=(k, d + 1)))
    if off < k - 1:
        beta = beta.at[off, 0].set(-1e30)
    want = softmax_moments_reference(_features(x), beta, weight, exponent, hard)
    got = _blocked(x, weight, beta, jnp.asarray(reference), jnp.asarray(exponent), rows, hard)
    chex.assert_tree_all_finite(got)
    scale = 1 + spread * float(weight.sum())
    chex.assert_trees_all_close(got, want, rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(got[0][:, 0].sum(), weight.sum(), rtol=1e-13)
    if off < k - 1:
        assert (got[0][off] == 0).all()


class Step(chex.TestCase):
    """The step is the same plain, jitted, and under `vmap` over lanes that share the rows."""

    @chex.variants(with_jit=True, without_jit=True)
    def test_lanes_are_independent(self):
        rng = np.random.default_rng(0)
        x, weight = jnp.asarray(rng.normal(size=(33, 3))), jnp.ones(33)
        beta = jnp.asarray(rng.normal(size=(4, 5, 4)))
        one = lambda b: _blocked.__wrapped__(x, weight, b, jnp.zeros(()), jnp.ones(()), 7, False)  # noqa: E731
        together = self.variant(jax.vmap(one))(beta)
        alone = [one(b) for b in beta]
        for lane, want in enumerate(alone):
            got = jax.tree.map(lambda leaf, lane=lane: leaf[lane], together)
            chex.assert_trees_all_close(got, want, rtol=1e-13, atol=1e-13)


def test_a_hard_tie_goes_to_one_component():
    x, beta = jnp.ones((4, 1)), jnp.zeros((3, 2))
    moments, _ = _blocked(x, jnp.ones(4), beta, jnp.zeros(()), jnp.ones(()), 4, True)
    np.testing.assert_array_equal(moments[:, 0], [4, 0, 0])


def test_exponential_of_what_is_not_positive():
    x = -np.concatenate([[0, np.inf, 1e30, 88.1], np.logspace(-8, 1.9, 20_001)]).astype(np.float32)
    got = np.asarray(jax.jit(exp_nonpositive)(x))
    atol = 8.2e-8 if jax.default_backend() == "cpu" else 8.8e-8
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.exp(x.astype(float)), rtol=0, atol=atol)
    assert got[0] == 1 and (got[1:4] == 0).all()
    assert np.isnan(jax.jit(exp_nonpositive)(np.full(20, np.nan, np.float32))).all()
    slope = jax.jit(jax.vmap(jax.grad(exp_nonpositive)))(x[4:])
    np.testing.assert_array_equal(slope, got[4:])


@pytest.mark.parametrize("k", [1, 3, 8, 32, 33])
def test_float32_softmax_equals_the_reference(k):
    rng = np.random.default_rng(k)
    x, weight = rng.normal(size=(301, 5)), rng.uniform(0, 2, 301)
    beta = 3 * rng.normal(size=(k, 6))
    beta[-1, 0] = -1e30 if k > 1 else 0  # a component that is off
    phi = np.asarray(_features(jnp.asarray(x)))
    want, total = softmax_moments_reference(phi, beta, weight, 1.0, False)
    single = [jnp.asarray(a, jnp.float32) for a in (x, weight, beta, 0.7, 1.0)]
    got, value = _blocked(*single, 100, False)
    assert got.dtype == value.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-4)
    np.testing.assert_allclose(value, total, rtol=1e-5)
    assert k == 1 or (got[-1] == 0).all()
    steep, _ = _blocked(*single[:2], 300 * single[2], *single[3:], 100, False)  # exp overflows
    np.testing.assert_allclose(np.sum(steep[:, 0]), weight.sum(), rtol=1e-5)
    poisoned, value = _blocked(single[0].at[7, 0].set(jnp.nan), *single[1:], 100, False)
    assert np.isnan(poisoned).any() and np.isnan(value)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8, 12, 13, 16, 17, 30, 40])
def test_inverse_factor_equals_lapack(d):
    rng = np.random.default_rng(d)
    a = rng.normal(size=(4, 3, d, d + 2))
    matrix = jnp.asarray(a @ a.swapaxes(-1, -2))
    w, log_det, ok = jax.jit(jax.vmap(inverse_factor))(matrix)
    eye = np.broadcast_to(np.eye(d), matrix.shape)
    np.testing.assert_allclose(w @ matrix @ w.swapaxes(-1, -2), eye, atol=1e-8)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(w, np.tril(w))
    assert ok.all()


@pytest.mark.parametrize("d", [5, 8, 16])
def test_steps_written_out_are_those_of_the_loop(d):
    # Accelerators take the former, a CPU the latter; the last matrix is singular.
    root = np.random.default_rng(d).normal(size=(4, d, d + 3))
    root[3, 1] = root[3, 0]
    a = jnp.asarray(np.moveaxis(root @ root.swapaxes(1, 2), 0, -1))
    floor = 1e-10 * jnp.diagonal(a, axis1=0, axis2=1).T
    unrolled, looped = elimination._unrolled(a, floor), elimination._looped(a, floor)
    np.testing.assert_array_equal(unrolled[2], [True, True, True, False])
    chex.assert_trees_all_close(unrolled, looped, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("platform, loops", [("cpu", 1), ("cuda", 0), ("tpu", 0)])
def test_an_accelerator_factorises_without_a_loop(platform, loops):
    matrix = jax.ShapeDtypeStruct((30, 8, 8), jnp.float32)
    lowered = jax.jit(inverse_factor).trace(matrix).lower(lowering_platforms=(platform,))
    assert lowered.as_text().count("stablehlo.while") == loops


@pytest.mark.parametrize("d", [3, 9, 20])
def test_inverse_factor_flags_a_singular_matrix_and_stays_finite(d):
    matrix = jnp.stack([jnp.ones((d, d)), jnp.eye(d)])
    w, log_det, ok = inverse_factor(matrix)
    assert ok.tolist() == [False, True]
    chex.assert_tree_all_finite((w, log_det))


@pytest.mark.parametrize("d", [2, 14])
def test_inverse_factor_gradient_is_the_inverse(d):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(d, 2 * d))
    matrix = jnp.asarray(a @ a.T)
    gradient = jax.jit(jax.grad(lambda m: inverse_factor(m)[1]))(matrix)
    np.testing.assert_allclose(gradient, np.linalg.inv(matrix), rtol=1e-7, atol=1e-9)

    def precision_norm(m):
        w = inverse_factor(m)[0]
        return jnp.sum((w.T @ w) ** 2)

    def reference(m):
        return jnp.sum(jnp.linalg.inv(m) ** 2)

    got, want = jax.jit(jax.grad(precision_norm))(matrix), jax.grad(reference)(matrix)
    np.testing.assert_allclose(got, 0.5 * (want + want.T), rtol=1e-6, atol=1e-9)
