"""The written-out sums of small steps are the products, and stand only where they are meant to."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxem.kernels import Assignment, as_blocks, small_products, softmax_moments, with_features
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
        def lane(beta, resp):
            logits = small_products.logits(beta, phi, DOT)
            return logits, small_products.moments(resp, phi, DOT)

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
    level, way = jnp.asarray(0.3), Assignment(jnp.asarray(1.0), hard)
    made = [
        jax.jit(lambda b: softmax_moments(features, beta, b, level, way))(b) for b in (blocks, kept)
    ]
    np.testing.assert_allclose(made[1][0], made[0][0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(made[1][1], made[0][1], rtol=1e-12)


def _dots(platform, function, *shapes):
    """Products of matrices in what is lowered for the platform: that with ones is none."""
    arguments = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    text = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
    found = [line for line in text.splitlines() if "dot_general" in line]
    return sum(not re.search(r"tensor<\d+xf32>", line) for line in found)


@pytest.mark.implementation
@pytest.mark.parametrize(
    "platform, k, p, m, dots",
    [
        ("cpu", 3, 6, 256, 0),
        ("cuda", 3, 6, 256, 2),
        ("tpu", 3, 6, 256, 2),
        ("cpu", 3, 6, 250, 1),  # rows that do not part: of the moments alone
        ("cpu", 3, 153, 512, 1),  # of the logits alone
        ("cpu", 8, 153, 1024, 2),
    ],
)
def test_where_sums_are_written_out(platform, k, p, m, dots):
    def both(beta, r, phi):
        return small_products.logits(beta, phi, DOT), small_products.moments(r, phi, DOT)

    assert _dots(platform, both, (k, p), (k, m), (p, m)) == dots


@pytest.mark.implementation
@pytest.mark.parametrize("keep, dots", [(False, 2), (True, 0)])
def test_rows_that_lanes_share_keep_their_products(keep, dots):
    def step(x, beta):
        features = lambda x: jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T])  # noqa: E731
        blocks = as_blocks(x, jnp.ones(x.shape[:1], x.dtype), 256)
        blocks = with_features(features, blocks) if keep else blocks
        return softmax_moments(features, beta, blocks, jnp.zeros((), x.dtype))

    assert _dots("cpu", step, (256, 2), (3, 3)) == dots
