"""Run by test_without_x64.py in a process where JAX's x64 mode is off, as most users have it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lowered import engine_programs

import jaxem


def _x(dtype):
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(m, 1, size=(60, 2)) for m in (0, 6)]).astype(dtype)


def _mixture(kind="full"):
    return jaxem.Mixture(jaxem.Gaussian(kind), n_components=2)


def test_the_mode_is_off():
    assert not jax.config.jax_enable_x64


def test_float64_data_are_fitted_in_float64_and_the_mode_stays_off():
    fits = jaxem.fit(_mixture(), _x(np.float64), key=jax.random.key(0), n_starts=2, tol=1e-12)
    best = fits.best()
    for leaf in jax.tree.leaves(best.params):
        assert isinstance(leaf, np.ndarray | np.generic) and leaf.dtype == np.float64
    assert not jax.config.jax_enable_x64
    x, p = _x(np.float64), best.params
    total = sum(
        w
        * np.exp(-0.5 * np.einsum("ni,ij,nj->n", x - m, np.linalg.inv(v), x - m))
        / np.sqrt(np.linalg.det(2 * np.pi * v))
        for w, m, v in zip(p.weights, p.means, p.covariances, strict=True)
    )
    np.testing.assert_allclose(best.log_likelihood, np.log(total).sum(), rtol=1e-12)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_float32_data_stay_float32(kind):
    x = _x(np.float32)
    fits = jaxem.fit(_mixture(kind), x, key=jax.random.key(0), n_starts=2)
    assert {leaf.dtype for leaf in jax.tree.leaves(fits.params)} == {np.dtype(np.float32)}
    chex.assert_tree_all_finite(fits.best().params)
    run = jaxem.em(_mixture(kind), fits.best().params, x)
    assert run.log_likelihood.dtype == jnp.float32 and run.status == jaxem.Status.CONVERGED


def test_integers_are_fitted():
    counts = np.random.default_rng(0).poisson([[2, 30]] * 50)
    model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    assert np.isfinite(jaxem.fit(model, counts, key=jax.random.key(0), n_starts=2).best().objective)
    params = model.init(jax.random.key(0), counts)
    assert jaxem.em(model, params, counts).params.rates.dtype == jnp.float32


def test_float32_fits_hold_no_float64_for_devices_without_it():
    for text in engine_programs("tpu", jaxem.Gaussian("full"), 4, "squarem")[1].values():
        assert "f64" not in text and "xf32" in text
