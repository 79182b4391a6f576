"""Starting responsibilities: rows sum to one, any transformation agrees, absent rows stay out."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.models import initializers
from jaxem.models.initializers import INITIALIZERS, responsibilities

NAMES = sorted(INITIALIZERS)
SOFT = {"random"}  # the others choose rows as centres
K = 3


@functools.cache
def _rows():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    return jnp.asarray(centres[np.arange(30) % 3] + 0.3 * rng.normal(size=(30, 2)))


@functools.partial(jax.jit, static_argnames="name")
def _start(name, key, x, weight):
    return responsibilities(name, key, x, weight, K)


@pytest.mark.parametrize("name", NAMES)
def test_rows_sum_to_one_and_no_component_starts_empty(name):
    for seed in range(5):
        r = _start(name, jax.random.key(seed), _rows(), jnp.ones(30))
        assert r.shape == (30, K) and (r >= 0).all()
        np.testing.assert_allclose(r.sum(axis=1), 1, rtol=1e-12)
        assert (r.sum(axis=0) > 0.5).all()


class Transformations(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_jit_and_vmap_agree_with_plain(self):
        keys = jax.random.split(jax.random.key(3), 4)
        x, weight = _rows(), jnp.ones(30)
        for name in NAMES:
            many = self.variant(
                jax.vmap(lambda key, name=name: responsibilities(name, key, x, weight, K))
            )
            for key, got in zip(keys, many(keys), strict=True):
                np.testing.assert_allclose(got, _start(name, key, x, weight), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_key_gives_the_same_start_and_another_key_another(name):
    start = lambda seed: np.asarray(_start(name, jax.random.key(seed), _rows(), jnp.ones(30)))  # noqa: E731
    np.testing.assert_array_equal(start(1), start(1))
    assert any((start(1) != start(seed)).any() for seed in range(2, 8))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SOFT])
def test_rows_of_weight_zero_are_never_centres(name):
    # The last row is far from all others: as a centre it would keep the row to itself.
    x = _rows().at[-1].set(jnp.asarray([500.0, 500.0]))
    weight = jnp.ones(30).at[-1].set(0)
    for seed in range(20):
        r = np.asarray(_start(name, jax.random.key(seed), x, weight))
        own = r[-1].argmax()
        assert (r[:-1].argmax(axis=1) == own).any(), seed


def test_k_means_plus_plus_hits_every_far_cluster():
    hits = 0
    for seed in range(20):
        r = _start("k-means++", jax.random.key(seed), _rows(), jnp.ones(30))
        hits += len(set(np.asarray(r[:3].argmax(axis=1)))) == 3
    assert hits >= 18


def test_k_means_improves_on_its_seeds():
    x, weight = _rows(), jnp.ones(30)

    def inertia(name, seed):
        r = _start(name, jax.random.key(seed), x, weight)
        r = jax.nn.one_hot(r.argmax(axis=1), K)
        centres = (r.T @ x) / r.sum(axis=0)[:, None]
        return float(((x - r @ centres) ** 2).sum())

    for seed in range(5):
        assert inertia("kmeans", seed) <= inertia("k-means++", seed) + 1e-9


@pytest.mark.parametrize("name", ["k-means++", "random"])
def test_start_i_does_not_depend_on_the_number_of_starts(name):
    model = jaxem.Mixture(jaxem.Gaussian("diag"), n_components=K)
    same = dict(key=jax.random.key(0), init=name, max_iter=2, tol=0.0)
    few = jaxem.fit(model, np.asarray(_rows()), n_starts=2, **same)
    many = jaxem.fit(model, np.asarray(_rows()), n_starts=5, **same)
    chex.assert_trees_all_close(few.params, many[:2].params, rtol=1e-9, atol=1e-12)


def test_given_starts_of_every_kind_agree():
    x = np.asarray(_rows())
    model = jaxem.Mixture(jaxem.Gaussian("diag"), n_components=K)
    labels = np.arange(30) % 3
    resp = np.eye(3)[labels]
    params = model.seed(x, resp)
    fits = [
        jaxem.fit(model, x, key=jax.random.key(0), n_starts=1, init=init)
        for init in (labels, resp, params, lambda key, x, weight, k: jnp.asarray(resp))
    ]
    for fit in fits[1:]:
        chex.assert_trees_all_close(fit.params, fits[0].params, rtol=1e-9)


def test_as_many_components_as_rows():
    x = jnp.asarray([[0.0], [1.0], [5.0]])
    for name in NAMES:
        r = _start(name, jax.random.key(0), x, jnp.ones(3))
        assert np.isfinite(r).all()
    r = _start("random_from_data", jax.random.key(0), x, jnp.ones(3))
    assert len(set(np.asarray(r).argmax(axis=1))) == 3


@pytest.mark.parametrize("n", [5, 128, 129, 700])
def test_a_draw_beyond_the_last_sum_still_has_mass(n):
    """Rounding can put u at or beyond the sum of all masses; zeros lead, end and lie between."""
    rng = np.random.default_rng(n)
    mass = rng.uniform(0.1, 1, n) * (rng.uniform(size=n) < 0.3)
    mass[[0, n - 1]], mass[n // 2] = 0, 1
    mass = jnp.asarray(mass, jnp.float32)
    draw = jax.jit(initializers.draw_row)
    for u in (0.0, 0.5, 1 - 2**-24, 1.0, 1.001):
        row = int(draw(jnp.float32(u), mass, jnp.ones(n, jnp.float32)))
        assert mass[row] > 0, u
    assert row == np.flatnonzero(mass)[-1]
