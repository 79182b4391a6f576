"""Accelerated runs climb, end no lower than plain EM and get there in fewer E-steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from problems import clouds, mixture

import jaxem
from jaxem import Status, datasets
from jaxem.engine import accelerators

ACCELERATORS = list(accelerators.ACCELERATORS)
KEY = jax.random.key(0)
OVERLAPPING = clouds(400, gap=3.0)
STEPS = 1000


def eight_starts(model, x):
    """Parameters of 8 k-means++ starts, leading axis."""
    keys = jax.random.split(KEY, 8)
    return jax.jit(jax.vmap(lambda key: model.init(key, x)))(keys)


def run(model, starts, x, how, **options):
    """All starts by `em`, with traces."""
    options = {"tol": 1e-9, "max_iter": STEPS, "trace": STEPS, **options}
    return jax.vmap(lambda p: jaxem.em(model, p, x, accelerate=how, **options))(starts)


def assert_climbs(trace, n_iter):
    """No recorded objective is lower than the one before it, beyond rounding."""
    for one, n in zip(np.asarray(trace), np.asarray(n_iter), strict=True):
        path = one[: n + 1]
        assert np.isfinite(path).all()
        assert (np.diff(path) >= -1e-10 * (1 + np.abs(path[:-1]))).all()


# Every case -----------------------------------------------------------------------------------


#: Cases for the accelerator that is not the default: each compiles a program of its own.
SOME = ("full", "tied", "spherical", "poisson", "categorical")


@pytest.mark.parametrize("case, how", [(c, how) for c in SOME for how in ACCELERATORS])
def test_every_case_climbs_to_where_plain_em_ends(case, how):
    model, x = CASES[case].model, CASES[case].data(256)
    start = jax.tree.map(lambda leaf: leaf[None], CASES[case].truth)
    plain, fast = (run(model, start, x, a) for a in (None, how))
    assert_climbs(fast.trace, fast.n_iter)
    assert set(np.asarray(fast.status)) <= {Status.CONVERGED, Status.STALLED}
    # From the truth both climb to the same hill.
    np.testing.assert_allclose(fast.objective, plain.objective, atol=1e-3)
    for name in model.frozen:
        np.testing.assert_array_equal(getattr(fast.params, name), getattr(start, name))
    np.testing.assert_allclose(np.sum(fast.params.weights, axis=-1), 1, rtol=1e-12)


# Many starts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ACCELERATORS)
@pytest.mark.parametrize("problem", ["overlapping", "old_faithful"])
def test_same_basin_same_height(problem, how):
    """Never below plain EM from the same start, where both end on the same hill."""
    x = OVERLAPPING if problem == "overlapping" else datasets.load("old_faithful")
    model = mixture()
    starts = eight_starts(model, x)
    plain, fast = (run(model, starts, x, a, tol=1e-11) for a in (None, how))
    assert_climbs(fast.trace, fast.n_iter)
    size = np.abs(np.asarray(plain.params.means)).max()
    same = np.abs(np.sort(fast.params.weights) - np.sort(plain.params.weights)).max(axis=1) < 1e-2
    assert same.sum() >= 4
    assert (np.asarray(fast.objective - plain.objective)[same] > -1e-4).all()
    gap = np.abs(np.asarray(fast.params.means - plain.params.means))[same]
    assert np.median(gap) < 1e-3 * size


@pytest.mark.parametrize("how", ACCELERATORS)
def test_fewer_steps_same_best_optimum(how):
    options = dict(key=KEY, n_starts=64, race=False, tol=1e-9, max_iter=2000)
    plain = jaxem.fit(mixture(), OVERLAPPING, accelerate=None, **options)
    fast = jaxem.fit(mixture(), OVERLAPPING, accelerate=how, **options)
    assert fast.sound.all()
    assert np.median(fast.n_iter) < 0.5 * np.median(plain.n_iter)
    assert float(fast.best().objective) > float(plain.best().objective) - 1e-4
    assert fast.optima(0.01).best_count > 0.8 * plain.optima(0.01).best_count


@pytest.mark.parametrize("how", ACCELERATORS)
def test_a_fit_has_the_likelihood_of_its_parameters(how):
    options = dict(key=KEY, n_starts=8, accelerate=how)
    fits = jaxem.fit(mixture(), OVERLAPPING, **options)
    density = jax.vmap(lambda p: jnp.sum(mixture().log_prob(p, OVERLAPPING)))(fits.params)
    np.testing.assert_allclose(fits.log_likelihood, density, rtol=1e-10)


@pytest.mark.parametrize("how", ACCELERATORS)
def test_float32(how):
    x = OVERLAPPING.astype(np.float32)
    fits = jaxem.fit(mixture(), x, key=KEY, n_starts=16, accelerate=how)
    wide = jaxem.fit(mixture(), OVERLAPPING, key=KEY, n_starts=16, tol=1e-9)
    assert fits.params.means.dtype == np.float32
    assert fits.sound.all()
    assert float(fits.best().objective) == pytest.approx(float(wide.best().objective), abs=0.05)


# Refused proposals ----------------------------------------------------------------------------


def wild(memory, output):
    """Proposals, every other one with negative variances; the age says whose turn it is."""
    leap = memory.age % 2 == 0
    sign = jnp.where(jnp.arange(output.size) < 9, 1.0, -9.0)  # weights and means, covariances
    return jnp.where(leap, sign * output, output), leap, _older(memory)


def low(memory, output):
    """Proposals, every other one legal but far downhill: the average component three times."""
    leap = memory.age % 2 == 0
    pieces = jnp.split(output, [3, 9])
    flat = [jnp.tile(piece.reshape(3, -1).mean(axis=0), 3) for piece in pieces]
    return jnp.where(leap, jnp.concatenate(flat), output), leap, _older(memory)


def _older(memory):
    return dataclasses.replace(memory, age=memory.age + 1)


@pytest.mark.parametrize("bad", [wild, low])
def test_a_refused_proposal_ends_nothing_and_leaves_no_trace(monkeypatch, bad):
    def forget(memory):
        return dataclasses.replace(memory, age=jnp.ones_like(memory.age))

    monkeypatch.setitem(accelerators.ACCELERATORS, bad.__name__, bad)
    monkeypatch.setitem(accelerators.DEPTHS, bad.__name__, 0)
    monkeypatch.setattr(accelerators, "forget", forget)
    starts = eight_starts(mixture(), OVERLAPPING)
    plain, slow = (run(mixture(), starts, OVERLAPPING, a, tol=1e-6) for a in (None, bad.__name__))
    assert (np.asarray(slow.status) == Status.CONVERGED).all()
    assert_climbs(slow.trace, slow.n_iter)
    # What is not refused is plain EM: the same path, with refusals in between.
    assert (np.asarray(slow.n_iter) > 1.5 * np.asarray(plain.n_iter)).all()
    for one, other, n in zip(slow.trace, plain.trace, np.asarray(plain.n_iter), strict=True):
        path = np.unique(np.asarray(one)[~np.isnan(one)])
        np.testing.assert_allclose(path[: n + 1], np.asarray(other)[: n + 1], rtol=1e-9)


@pytest.mark.parametrize("how", ACCELERATORS)
def test_a_run_that_fails_says_so(how):
    x = np.repeat(np.array([[0.0, 0.0], [5.0, 1.0], [1.0, 6.0]]), 100, axis=0)
    fits = jaxem.fit(mixture(), x, key=KEY, n_starts=8, accelerate=how)
    assert not fits.converged.any()
    assert not fits.sound.any()


def test_an_unknown_accelerator_is_refused():
    with pytest.raises(ValueError, match="accelerate must be None or one of anderson, squarem"):
        jaxem.fit(mixture(), OVERLAPPING, key=KEY, accelerate="nesterov")


# The formulas ---------------------------------------------------------------------------------


def _linear_map(rate):
    """s -> F(s) with the given rates and fixed point 1."""
    return lambda s: 1 + jnp.asarray(rate) * (s - 1)


@pytest.mark.parametrize("how", ACCELERATORS)
def test_a_linear_map_is_solved(how):
    """On a linear map Anderson mixing of depth m is exact after m + 1 known residuals in m
    dimensions (Walker and Ni 2011, theorem 2.2), and SQUAREM in one dimension after one turn."""
    rate = [0.9] if how == "squarem" else [0.99, 0.9, 0.5]
    step, f = accelerators.ACCELERATORS[how], _linear_map(rate)
    memory = accelerators.blank(len(rate), jnp.zeros(()).dtype, accelerators.DEPTHS[how])
    s, bold = f(jnp.zeros(len(rate))), []
    for _ in range(accelerators.WARM_UP + 8):
        proposal, is_bold, memory = step(memory, s)
        bold.append(bool(is_bold))
        s = f(proposal)
    assert not any(bold[: accelerators.WARM_UP])
    assert any(bold)
    np.testing.assert_allclose(s, 1, atol=1e-6)
    plain = jnp.zeros(len(rate))
    for _ in range(accelerators.WARM_UP + 9):
        plain = f(plain)
    assert np.abs(np.asarray(plain) - 1).max() > 0.2
