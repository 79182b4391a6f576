"""The coefficients of a Gaussian's log density, their derivatives, and how a step computes them."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.data.data import as_data
from jaxem.engine import steps
from jaxem.families.gaussian.params import pack
from jaxem.families.gaussian.quadratic_form import coefficients
from jaxem.numerics import batch_minor

LANES, K = 4, 3


def problem(d):
    """Means and covariances of 4 lanes of 3 components."""
    rng = np.random.default_rng(d)
    root = rng.normal(size=(LANES, K, d, d + 3))
    return jnp.asarray(rng.normal(size=(LANES, K, d))), jnp.asarray(root @ root.swapaxes(-1, -2))


def by_lapack(means, covariances):
    """The same from inverse and determinant."""
    precision = jnp.linalg.inv(covariances)
    precision = 0.5 * (precision + precision.swapaxes(-1, -2))
    linear = jnp.einsum("kij,kj->ki", precision, means)
    log_det = jnp.linalg.slogdet(covariances)[1]
    size = means.shape[-1] * np.log(2 * np.pi) + log_det + jnp.sum(linear * means, axis=-1)
    return jnp.concatenate([-0.5 * size[:, None], linear, -0.5 * pack(precision, 2.0)], axis=1)


def symmetric(tree):
    """Derivatives by a covariance, as those by a symmetric one."""
    return tree[0], tree[1] + tree[1].swapaxes(-1, -2)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8, 16, 17, 33])
def test_coefficients_give_the_log_density(d):
    means, covariances = problem(d)
    got = jax.jit(jax.vmap(coefficients))(means, covariances)
    want = jax.vmap(by_lapack)(means, covariances)
    np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)
    # Alone as among others, and whichever argument the lanes share.
    one = jax.jit(coefficients)(means[1], covariances[1])
    np.testing.assert_allclose(got[1], one, rtol=1e-12, atol=1e-13)
    shared = jax.vmap(coefficients, in_axes=(0, None))(means, covariances[1])
    np.testing.assert_allclose(shared[1], one, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("d", [1, 2, 5, 17])
def test_derivatives_of_coefficients(d):
    at = problem(d)
    along = jnp.cos(7 * at[0]), jnp.sin(3 * at[1])
    along = along[0], along[1] + along[1].swapaxes(-1, -2)

    def total(form):
        def value(*at):
            beta = jax.vmap(form)(*at)
            return jnp.sum(jnp.sin(beta) * jnp.cos(jnp.arange(beta.size).reshape(beta.shape)))

        return value

    def answers(form):
        value, slope = jax.jvp(lambda *at: jax.vmap(form)(*at), at, along)
        gradient = jax.grad(total(form), (0, 1))
        _, curved = jax.jvp(gradient, at, along)
        return value, slope, symmetric(gradient(*at)), symmetric(curved)

    got, want = jax.jit(lambda: answers(coefficients))(), jax.jit(lambda: answers(by_lapack))()
    chex.assert_trees_all_close(got, want, rtol=1e-7, atol=1e-8)


def test_a_singular_covariance_spoils_its_own_coefficients_alone():
    means, covariances = problem(3)
    flat = covariances.at[1, 2].set(jnp.ones((3, 3)))
    got = jax.vmap(coefficients)(means, flat)
    chex.assert_tree_all_finite(got)
    changed = np.any(got != jax.vmap(coefficients)(means, covariances), axis=-1)
    np.testing.assert_array_equal(np.argwhere(changed), [[1, 2]])


def test_lanes_join_the_batch():
    shapes = []

    @batch_minor
    def total(a, b):
        shapes.append((a.shape, b.shape))
        return jnp.sum(a, axis=0) * b, b

    a, b = jnp.arange(24.0).reshape(2, 3, 4), jnp.arange(3.0)
    product, same = jax.vmap(total, in_axes=(0, None))(a, b)
    np.testing.assert_array_equal(product, np.asarray(a).sum(axis=-1) * np.asarray(b))
    np.testing.assert_array_equal(same, np.broadcast_to(b, (2, 3)))
    assert shapes[-1] == ((4, 6), (6,))
    twice = jax.vmap(jax.vmap(total, in_axes=(0, None)), in_axes=(None, 0))(a, jnp.stack([b] * 5))
    np.testing.assert_array_equal(twice[0], np.broadcast_to(product, (5, 2, 3)))
    assert shapes[-1] == ((4, 30), (30,))


@pytest.mark.implementation
@pytest.mark.parametrize("d, loops", [(8, 1), (20, 2)])
def test_a_step_eliminates_once(d, loops):
    """The E-step asks for the inverse, the diagnosis for the pivots: one loop for each block of the
    matrices, inside that over the iterations, out of which XLA moves what does not change."""
    x = np.random.default_rng(0).normal(size=(400, d))
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    prepared = model.prepare(as_data(x), 400)
    control = steps.Control()
    params = model.blank(d, x.dtype)
    run = steps.start(model, params, prepared, control)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), run)
    step = jax.vmap(lambda run: steps.step(model, prepared, control, run))
    three = jax.jit(lambda runs: jax.lax.fori_loop(0, 3, lambda _, runs: step(runs), runs))
    text = three.lower(many).compile().as_text()
    assert len(re.findall(r" while\(", text)) == 1 + loops
