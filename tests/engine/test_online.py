"""Online EM: the step written out in NumPy, its laws, and what it finds in streams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_leaves_close
from own_models import LSAT7, Items, TwoParameterLogistic
from scipy.special import logsumexp
from scipy.stats import norm, poisson

import jaxem
from jaxem import Status

RNG = np.random.default_rng(0)
LABEL = RNG.integers(2, size=6000)
COUNTS = RNG.poisson(np.array([2.0, 9.0])[LABEL]).astype(float)[:, None]
PLANE = RNG.normal(size=(6000, 2)) * [1, 2] + np.array([[0.0, 0], [4, 2]])[LABEL]
BLOCK = 100

#: Parameters that no step moves.
FROZEN = {"frozen": ("weights", "means", "covariances")}


def poissons():
    start = jaxem.MixtureParams(np.array([0.4, 0.6]), jaxem.PoissonParams(np.array([[3.0], [7.0]])))
    return jaxem.Mixture(jaxem.Poisson(), n_components=2), start


def gaussians(kind="full", **options):
    means, own = np.array([[1.0, 0], [3, 1]]), np.stack([np.eye(2) * 3] * 2)
    own = {"full": own, "spherical": np.array([3.0, 3.0])}[kind]
    start = jaxem.MixtureParams(np.array([0.5, 0.5]), jaxem.GaussianParams(means, own))
    return jaxem.Mixture(jaxem.Gaussian(kind), n_components=2, **options), start


def blocks(x, size=BLOCK):
    return [x[i : i + size] for i in range(0, len(x), size)]


def run(model, start, parts, exponent=0.6):
    state = jaxem.online_start(model, start, parts[0])
    for part in parts[1:]:
        state = jaxem.online_step(model, state, part, exponent=exponent)
    return state


def farthest(params, best, errors):
    """The largest distance of a parameter from the best, in standard errors."""
    leaves = zip(*map(jax.tree.leaves, (params, best, errors)), strict=True)
    return max(float(np.max(np.abs(a - b) / e)) for a, b, e in leaves)


# The step written out ---------------------------------------------------------------------------


def test_two_poissons_are_those_of_numpy():
    model, start = poissons()
    parts = [COUNTS[:80], COUNTS[80:200], COUNTS[200:230]]
    pi, rate, seen, s = start.weights, start.rates[:, 0], 0.0, 0.0
    for part in parts:
        joint = np.log(pi) + poisson.logpmf(part, rate)
        level = logsumexp(joint, axis=1, keepdims=True)
        r = np.exp(joint - level)
        found = np.stack([r.mean(axis=0), (r * part).mean(axis=0)])
        share = (1 + seen / len(part)) ** -0.7
        s = (1 - share) * s + share * found
        seen += len(part)
        pi, rate = s[0], s[1] / s[0]
    state = run(model, start, parts, exponent=0.7)
    np.testing.assert_allclose(state.params.weights, pi, rtol=1e-12)
    np.testing.assert_allclose(state.params.rates[:, 0], rate, rtol=1e-12)
    np.testing.assert_allclose(state.log_likelihood, level.mean(), rtol=1e-12)
    assert float(state.seen) == seen and state.status == Status.RUNNING


def test_weighted_gaussians_are_those_of_numpy():
    model, start = gaussians("spherical")
    weight = RNG.uniform(0.5, 2, 300)
    pi, means, var = start.weights, start.means, start.covariances
    state, seen, s = None, 0.0, [0.0] * 3
    for own in (slice(0, 200), slice(200, 300)):
        x, w = PLANE[own], weight[own] / weight[own].sum()
        log = norm.logpdf(x[:, None], means, np.sqrt(var)[:, None]).sum(axis=2) + np.log(pi)
        level = logsumexp(log, axis=1, keepdims=True)
        r = np.exp(log - level) * w[:, None]
        share = (1 + seen / weight[own].sum()) ** -0.6
        found = [r.sum(axis=0), r.T @ x, r.T @ (x**2).sum(axis=1)]
        s = [(1 - share) * old + share * new for old, new in zip(s, found, strict=True)]
        seen += weight[own].sum()
        pi, means = s[0], s[1] / s[0][:, None]
        var = (s[2] / s[0] - (means**2).sum(axis=1)) / 2
        if state is None:
            state = jaxem.online_start(model, start, x, sample_weight=weight[own])
        else:
            state = jaxem.online_step(model, state, x, sample_weight=weight[own])
    np.testing.assert_allclose(state.params.weights, pi, rtol=1e-10)
    np.testing.assert_allclose(state.params.means, means, rtol=1e-10)
    np.testing.assert_allclose(state.params.covariances, var, rtol=1e-10)
    np.testing.assert_allclose(state.log_likelihood, level[:, 0] @ w, rtol=1e-10)
    np.testing.assert_allclose(state.seen, weight.sum(), rtol=1e-12)


# Laws -------------------------------------------------------------------------------------------


def test_with_exponent_1_fixed_parameters_have_the_statistics_of_all_rows():
    model, start = gaussians(**FROZEN)
    parts = [PLANE[:50], PLANE[50:300], PLANE[300:400]]
    state = run(model, start, parts, exponent=1.0)
    z = (PLANE[:400] - np.asarray(state.scaling.shift)) / np.asarray(state.scaling.scale)
    share = np.asarray(model.predict_proba(start, PLANE[:400]))
    moments = share.T @ np.asarray(model.family.features(jnp.asarray(z))).T / 400
    np.testing.assert_allclose(state.stats.moments, moments, rtol=1e-10, atol=1e-12)
    assert_leaves_close(state.params, start, 0)


@pytest.mark.parametrize("of", [poissons, gaussians])
def test_a_scan_over_blocks_is_the_loop(of):
    model, start = of()
    x = np.stack(blocks((COUNTS if of is poissons else PLANE)[:1000]))
    first = jaxem.online_start(model, start, x[0])

    @jax.jit
    def scanned(model, state, x):
        step = lambda s, part: (jaxem.online_step(model, s, part), None)  # noqa: E731
        return jax.lax.scan(step, state, x)[0]

    assert_leaves_close(scanned(model, first, x[1:]), run(model, start, x), 1e-11)


@pytest.mark.parametrize("of", [poissons, gaussians])
def test_padding_changes_nothing(of):
    model, start = of()
    x = COUNTS if of is poissons else PLANE
    state = jaxem.online_start(model, start, x[:100])
    padded = np.concatenate([x[100:160], np.repeat(x[100:101], 40, axis=0)])
    weight = np.repeat([1.0, 0.0], [60, 40])
    wide = jaxem.online_step(model, state, padded, sample_weight=weight)
    assert_leaves_close(wide, jaxem.online_step(model, state, x[100:160]), 1e-12)


def test_rows_spread_over_devices_are_one_block():
    model, start = gaussians()
    one = run(model, start, blocks(PLANE[:400]))
    spread = run(model, start, [jaxem.shard_rows(x, "all") for x in blocks(PLANE[:400])])
    assert_leaves_close(spread, one, 1e-11)


def test_an_added_constant_only_moves_the_means():
    model, start = gaussians()
    far = jaxem.MixtureParams(
        start.weights, jaxem.GaussianParams(start.means + 2.0**20, start.covariances)
    )
    one = run(model, start, blocks(PLANE[:1000]))
    other = run(model, far, blocks(PLANE[:1000] + 2.0**20))
    np.testing.assert_allclose(other.params.weights, one.params.weights, rtol=1e-8)
    np.testing.assert_allclose(other.params.means - 2.0**20, one.params.means, atol=1e-8)
    np.testing.assert_allclose(other.params.covariances, one.params.covariances, rtol=1e-8)
    np.testing.assert_allclose(other.log_likelihood, one.log_likelihood, rtol=1e-8)


def test_labels_are_known():
    model, start = gaussians()
    parts = [
        jaxem.Data(jnp.asarray(x), jnp.ones(BLOCK), jnp.asarray(label))
        for x, label in zip(blocks(PLANE[:500]), blocks(LABEL[:500]), strict=True)
    ]
    state = run(model, start, parts, exponent=1.0)
    count = np.bincount(LABEL[:500])
    means = np.stack([PLANE[:500][LABEL[:500] == k].mean(axis=0) for k in range(2)])
    np.testing.assert_allclose(state.params.weights, count / 500, rtol=1e-10)
    np.testing.assert_allclose(state.params.means, means, rtol=1e-10)


def test_a_prior_counts_as_in_a_fit_of_all_rows():
    x, prior = COUNTS[:500], jaxem.Gamma(40.0, 30.0)
    model = jaxem.Mixture(jaxem.Poisson(prior), n_components=1)
    start = jaxem.MixtureParams(np.ones(1), jaxem.PoissonParams(np.array([[3.0]])))
    state = run(model, start, blocks(x), exponent=1.0)
    np.testing.assert_allclose(state.params.rates[0, 0], (x.sum() + 39) / (500 + 30), rtol=1e-12)


def test_frozen_parameters_keep_their_bits():
    model, start = gaussians(frozen=("means",))
    state = run(model, start, blocks(PLANE[:500]))
    np.testing.assert_array_equal(state.params.means, start.means)
    assert np.abs(state.params.covariances - start.covariances).min() > 0.1


def test_float32_stays_float32_and_agrees():
    model, start = gaussians()
    state = run(model, start, blocks(PLANE[:1000].astype(np.float32)))
    floats = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype != np.int32]
    assert {leaf.dtype for leaf in floats} == {np.dtype(np.float32)}
    assert_leaves_close(state.params, run(model, start, blocks(PLANE[:1000])).params, 2e-4)


# What cannot be used ----------------------------------------------------------------------------


def test_a_component_without_rows_in_a_block_keeps_what_is_known():
    model, start = poissons()
    state = run(model, start, blocks(COUNTS[:1000]))
    low = jaxem.online_step(model, state, np.zeros((50, 1)))
    share = (1 + 1000 / 50) ** -0.6
    assert low.status == Status.RUNNING
    np.testing.assert_allclose(low.params.rates[1], state.params.rates[1], rtol=1e-2)
    np.testing.assert_allclose(
        low.params.weights[1], (1 - share) * state.params.weights[1], rtol=1e-2
    )


def test_unusable_parameters_are_refused_and_the_statistics_go_on():
    model, start = gaussians()
    same = np.repeat(PLANE[:1], 30, axis=0)  # one point: no covariance
    state = jaxem.online_start(model, start, same)
    assert state.status == Status.SINGULAR and float(state.seen) == 30
    assert_leaves_close(state.params, start, 0)
    np.testing.assert_allclose(state.stats.moments[:, 0].sum(), 1, rtol=1e-12)
    after = jaxem.online_step(model, state, PLANE[1:400])
    assert after.status == Status.RUNNING
    assert np.abs(after.params.means - start.means).max() > 0.1


@pytest.mark.parametrize("weight, value", [(0.0, 1.0), (1.0, np.nan)])
def test_a_block_without_weight_or_with_nan_leaves_the_state(weight, value):
    model, start = gaussians()
    state = jaxem.online_start(model, start, PLANE[:100])
    bad = np.full((100, 2), value)
    after = jaxem.online_step(model, state, bad, sample_weight=np.full(100, weight))
    for name in ("params", "stats", "scaling", "seen"):
        assert_leaves_close(getattr(after, name), getattr(state, name), 0)
    assert after.status == Status.NONFINITE and np.isnan(after.log_likelihood)


@pytest.mark.parametrize("exponent", [0.5, 1.1, np.nan])
def test_exponents_that_do_not_converge_are_refused(exponent):
    model, start = poissons()
    state = jaxem.online_start(model, start, COUNTS[:50])
    with pytest.raises(ValueError, match="exponent must be above"):
        jaxem.online_step(model, state, COUNTS[:50], exponent=exponent)


# Streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("of, x", [(poissons, COUNTS), (gaussians, PLANE)])
def test_many_blocks_come_as_near_as_sampling_allows(of, x):
    model, start = of()
    best = jaxem.em(model, start, x, tol=1e-12, max_iter=5000)
    assert best.status == Status.CONVERGED
    error = jaxem.standard_errors(model, best.params, x)
    state = run(model, start, blocks(x, 50))
    assert farthest(state.params, best.params, error) < 3
    assert farthest(start, best.params, error) > 10


def test_a_drift_is_followed_faster_by_a_smaller_exponent():
    rng = np.random.default_rng(1)
    model = jaxem.Mixture(jaxem.Poisson(), n_components=1)
    start = jaxem.MixtureParams(np.ones(1), jaxem.PoissonParams(np.array([[5.0]])))
    rate = np.linspace(5, 20, 100)
    parts = rng.poisson(rate[:, None, None], (100, BLOCK, 1)).astype(float)
    lag = [
        rate[-1] - float(run(model, start, parts, alpha).params.rates[0, 0])
        for alpha in (0.55, 0.75, 1.0)
    ]
    # With exponent 1 the estimate is the mean over the stream, half the drift behind.
    assert 0 < lag[0] < lag[1] / 1.5 and lag[1] < lag[2] / 1.5
    np.testing.assert_allclose(lag[2], 7.5, atol=0.15)


def test_a_model_of_ones_own():
    patterns, count = LSAT7
    rng = np.random.default_rng(0)
    x = np.repeat(patterns, count.astype(int), axis=0)
    x = np.concatenate([rng.permutation(x) for _ in range(10)])
    model, start = TwoParameterLogistic(), Items(np.ones(5), np.zeros(5))
    best = jaxem.em(model, start, patterns, sample_weight=count, tol=1e-10, max_iter=2000)
    state = run(model, start, blocks(x, 200))
    assert state.status == Status.RUNNING and float(state.seen) == 10_000
    error = jaxem.standard_errors(model, best.params, patterns, sample_weight=count)
    assert farthest(state.params, best.params, error) < 1
    assert farthest(start, best.params, error) > 3
