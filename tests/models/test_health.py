"""Verdicts on parameters: which maxima are spurious, which are near one, and how a search ranks
them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import clouds, mixture

import jaxem
from jaxem.batch import scheduler
from jaxem.batch.problem import Resources, batch_of, pose
from jaxem.data.scaling import scaling_of
from jaxem.data.validate import host_data
from jaxem.engine.steps import Control
from jaxem.search.race import Standing, promote

FULL, DIAG = jaxem.Gaussian("full"), jaxem.Gaussian("diag")
FINE, NEAR, SPURIOUS = (False, False), (False, True), (True, True)
SHAPES = {"full": lambda v: v[:, None, None] * np.eye(2), "diag": lambda v: v[:, None] * np.ones(2)}
SHAPES |= {"spherical": lambda v: v, "tied": lambda v: v[0] * np.eye(2)}


def params(family, variance=1.0, weights=(0.5, 0.5)):
    """Two components at the origin, whose second has this variance, and the first 1."""
    covariances = SHAPES[family.covariance_type](np.array([1.0, variance]))
    own = jaxem.GaussianParams(jnp.zeros((2, 2)), jnp.asarray(covariances))
    return jaxem.MixtureParams(jnp.asarray(weights), own)


def verdict(family, rows=50.0, weight=1.0, frozen=(), **settings):
    """(spurious, near spurious) where the second component has so many of 100 rows."""
    model = jaxem.Mixture(family, n_components=2, frozen=frozen)
    prepared = model.prepare(jaxem.Data(jnp.ones((100, 2)), jnp.full(100, weight)))
    own = params(family, **settings)
    stats = jax.tree.map(jnp.zeros_like, model.e_step(own, jnp.ones((100, 2)))[0])
    counts = weight * jnp.array([100 - rows, rows])
    stats = jaxem.Statistics(stats.moments.at[:, 0].set(counts), jnp.ones_like(stats.common))
    health = model.health(own, stats, prepared)
    return bool(health.spurious), bool(health.near_spurious)


@pytest.mark.parametrize("weight", [1.0, 0.25])
@pytest.mark.parametrize(
    ("family", "rows", "want"),
    [
        # Any d + 1 rows in the plane have a covariance, and any 2 rows have variances.
        (FULL, 3, SPURIOUS), (FULL, 4, NEAR), (FULL, 9, NEAR), (FULL, 10, FINE),
        (DIAG, 2, SPURIOUS), (DIAG, 3, NEAR), (DIAG, 6, NEAR), (DIAG, 7, FINE),
    ],
)  # fmt: skip
def test_a_component_with_as_few_rows_as_it_always_fits(family, rows, want, weight):
    assert verdict(family, rows, weight) == want


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
@pytest.mark.parametrize(
    ("variance", "want"), [(1e-2, FINE), (1e-4, NEAR), (1e-7, NEAR), (1e-9, SPURIOUS)]
)
def test_a_component_that_is_much_narrower_than_the_pooled_ones(kind, variance, want):
    assert verdict(jaxem.Gaussian(kind), variance=variance) == want


def test_what_is_not_judged():
    prior = jaxem.NormalInverseWishart(np.zeros(2), 1.0, 4.0, np.eye(2))
    assert verdict(jaxem.Gaussian("full", prior=prior), 3) == FINE
    assert verdict(jaxem.Gaussian("tied"), 3) == FINE
    assert verdict(FULL, 3, frozen=("covariances",)) == FINE
    assert verdict(FULL, 0, variance=1e-9, weights=(1.0, 0.0)) == FINE  # the other is off


def start(x, rows):
    """A component on the last so many rows, the others shared out by the first column."""
    label = (x[:, 0] > np.median(x[:, 0])).astype(int)
    label[len(x) - rows :] = 2
    return jaxem.Mixture(FULL, n_components=3).seed(x, jnp.asarray(np.eye(3)[label]))


def test_what_is_near_a_spurious_maximum_ranks_behind_and_what_is_at_one_last():
    x = clouds()
    corner = np.random.default_rng(0).normal(size=(6, 2))
    corner[3:] += 12
    corner += 20
    x = np.concatenate([x, corner])
    starts = [start(x, rows) for rows in (3, 6, 100, 150)]
    problem = pose(mixture(), host_data(x), x.dtype)
    batch = batch_of(problem, 4, Control(1e-6, 500), Resources())
    scaling = scaling_of(FULL, x, None)
    scaled = [mixture().to_scaled(one, scaling) for one in starts]
    runs = scheduler.start_at(batch, jax.tree.map(lambda *leaves: np.stack(leaves), *scaled))
    scheduler.advance(runs, np.arange(4), 1)
    np.testing.assert_array_equal(scheduler.spurious(runs), [SPURIOUS, NEAR, FINE, FINE])
    plain, strict = Standing.of(runs), Standing.of(runs, strict=True)
    assert plain.score[1] > plain.score[2:].max()  # a high likelihood, and strictly no winner
    assert np.isneginf([plain.objective[0], plain.score[0], strict.score[0]]).all()
    assert np.isfinite(strict.score[1]) and strict.score[1] < strict.score[2:].min() - 1e5
    np.testing.assert_array_equal(strict.objective, plain.objective)
    for standing, first in ((plain, 1), (strict, 2 + np.argmax(plain.score[2:]))):
        promotion = promote(runs, np.arange(4), np.full(4, -1), np.array([1]), standing)
        assert first in promotion.lanes and 0 in promotion.pruned
