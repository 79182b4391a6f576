"""The written-out sums of small steps are the products, and stand only where they are meant to."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.kernels import as_blocks, small, softmax_moments, with_features
from jaxem.numerics import device_einsum

DOT = partial(device_einsum, precision="float32")
SHAPES = [(1, 3, 16), (3, 6, 256), (5, 15, 96), (2, 10, 100), (8, 45, 768), (4, 1, 8)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k, p, m", SHAPES)
def test_sums_are_the_products_in_every_lane(k, p, m, dtype):
    rng = np.random.default_rng(k)
    beta, resp = rng.normal(size=(2, 4, k, p)), rng.uniform(size=(2, 4, k, m))
    phi = rng.normal(size=(2, p, m))

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, 0))
    def both(beta, resp, phi):
        lane = lambda beta, resp: (small.logits(beta, phi, DOT), small.moments(resp, phi, DOT))  # noqa: E731
        return jax.vmap(lane)(beta, resp)

    logits, moments = both(*(jnp.asarray(a, dtype) for a in (beta, resp, phi)))
    assert logits.dtype == moments.dtype == dtype
    eps = np.finfo(dtype).eps
    size = np.abs(beta) @ np.abs(phi)[:, None]
    assert np.all(np.abs(logits - beta @ phi[:, None]) <= 4 * p * eps * size)
    size = resp @ np.abs(phi)[:, None].swapaxes(-1, -2)
    assert np.all(np.abs(moments - resp @ phi[:, None].swapaxes(-1, -2)) <= m * eps * size)


@pytest.mark.parametrize("hard", [False, True])
def test_a_step_with_kept_features_is_the_step(hard):
    rng = np.random.default_rng(1)
    x, weight = jnp.asarray(rng.normal(size=(200, 2))), jnp.asarray(rng.uniform(size=200))
    beta = jnp.asarray(rng.normal(size=(3, 3))).at[1, 0].set(-1e30)
    features = lambda x: jnp.concatenate([jnp.ones((1, x.shape[0])), x.T])  # noqa: E731
    blocks = as_blocks(x, weight, 96)
    kept = with_features(features, blocks)
    how = beta, jnp.asarray(0.3), jnp.asarray(1.0), hard
    made = [
        jax.jit(lambda b: softmax_moments(features, how[0], b, *how[1:]))(b) for b in (blocks, kept)
    ]
    np.testing.assert_allclose(made[1][0], made[0][0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(made[1][1], made[0][1], rtol=1e-12)


def _dots(platform, k, p, m):
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in ((k, p), (k, m), (p, m))]
    both = lambda beta, r, phi: (small.logits(beta, phi, DOT), small.moments(r, phi, DOT))  # noqa: E731
    text = jax.jit(both).trace(*shapes).lower(lowering_platforms=(platform,)).as_text()
    # The sum along the parts is a product with ones.
    return sum("dot_general" in line and "xf32" in line for line in text.splitlines())


def test_where_sums_are_written_out():
    assert _dots("cpu", 3, 6, 256) == 1
    assert _dots("cuda", 3, 6, 256) == _dots("tpu", 3, 6, 256) == 2
    assert _dots("cpu", 3, 6, 250) == 1  # rows that do not part: a product for the moments alone
    assert _dots("cpu", 3, 153, 512) == 2  # logits by a product, and the ones
    assert _dots("cpu", 8, 153, 1024) == 2
