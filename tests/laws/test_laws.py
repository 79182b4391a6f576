"""Laws that every case of `cases.py` keeps; a new family adds one line there and inherits these.

Numbers of rows are few (64, 128, 256, 2000) so that programs are compiled once per case. Every law
that compiles no whole run is held by all cases; runs by one of each kind and the cases that differ.
"""

import dataclasses
import functools
import itertools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES, KINDS, Case

import jaxem

PERMUTATION = np.array([2, 0, 1])
#: Cases whose runs differ from those of their kind.
RUNS = (*KINDS, "full-map", "full-hard", "full-tempered", "full-frozen-weights",
        "full-weight-prior", "poisson-map")  # fmt: skip


@functools.partial(jax.jit, static_argnames="assignment")
def e_step(model, params, data, assignment="soft", exponent=None):
    return model.e_step(params, data, assignment=assignment, exponent=exponent)


m_step = jax.jit(lambda model, stats, params: model.m_step(stats, params))
log_prob = jax.jit(lambda model, params, x: model.log_prob(params, x))
log_prior = jax.jit(lambda model, params: model.log_prior(params))
log_joint = jax.jit(lambda model, params, x: model.log_joint(params, x))
init = jax.jit(lambda model, key, x, how: model.init(key, x, how), static_argnums=3)


@jax.jit
@jax.value_and_grad
def _expected(params, model, stats):
    return model.expected_log_likelihood(stats, params) + model.log_prior(params)


def expected(model, stats, params):
    """Q + log prior, and its slope in coordinates without constraints, by field name."""
    value, slope = _expected(params, model, stats)
    out = {"weights": _on_simplex(params.weights, slope.weights)}
    for name, leaf in vars(params.components).items():
        g = getattr(slope.components, name)
        # Category probabilities f[k, d, c] sum to one; every other field lies in an open set.
        out[name] = _on_simplex(leaf, g) if name == "probabilities" and leaf.ndim == 3 else g
    return float(value), {name: np.abs(g).max() for name, g in out.items()}


def _on_simplex(p, g):
    """The gradient in softmax coordinates."""
    return p * (g - jnp.sum(p * g, axis=-1, keepdims=True))


def em(model, params, x, max_iter, **settings):
    """A run of exactly max_iter steps, unless flat; one program whatever max_iter is."""
    return jaxem.em(model, params, x, tol=0.0, max_iter=max_iter, trace=40, guard=False, **settings)


def by_component(change, params):
    """`change` on every leaf that has a component axis (no other axis has length 3 in front)."""
    return jax.tree.map(lambda leaf: change(leaf) if leaf.shape[0] == 3 else leaf, params)


def some_start(case):
    """One of the case's random starts, float64 whatever the run is asked for."""
    return init(case.model, jax.random.key(0), case.data(256), "random_from_data")


QUICK = [pytest.param(c, marks=pytest.mark.laws if c in KINDS else ()) for c in CASES]


@pytest.fixture(params=QUICK)
def case(request) -> Case:
    return CASES[request.param]


def test_statistics_add_over_rows(case):
    x = case.data(128)
    parts = [
        e_step(case.model, case.truth, _of_weight_one(part), **case.settings)
        for part in (x[:64], x[64:])
    ]
    together = jax.tree.map(lambda a, b: np.asarray(a) + np.asarray(b), *parts)
    whole = e_step(case.model, case.truth, _of_weight_one(x), **case.settings)
    chex.assert_trees_all_close(together, whole, rtol=1e-12, atol=1e-10)


def _of_weight_one(x):
    """The same program as rows of any weight have."""
    return jaxem.Data(jnp.asarray(x), jnp.ones(len(x)))


def test_weights_are_repeated_rows(case):
    x = case.data(64)
    count = np.resize([0, 1, 2, 3, 4], 64)
    count[-1] += 128 - count.sum()
    weighted = jaxem.Data(jnp.asarray(x), jnp.asarray(count, float))
    chex.assert_trees_all_close(
        e_step(case.model, case.truth, weighted, **case.settings),
        e_step(
            case.model, case.truth, _of_weight_one(np.repeat(x, count, axis=0)), **case.settings
        ),
        rtol=1e-12,
        atol=1e-10,
    )


def test_a_row_of_weight_zero_is_absent_even_far_out(case):
    x, weight = case.data(64), np.ones(64)
    far, weight[[0, 31, 63]] = x.copy(), 0.0
    far[weight == 0] = case.far
    near, wild = [jaxem.Data(jnp.asarray(rows), jnp.asarray(weight)) for rows in (x, far)]
    a, b = [e_step(case.model, case.truth, data, **case.settings) for data in (near, wild)]
    chex.assert_tree_all_finite(b)
    chex.assert_trees_all_close(a, b, rtol=1e-13, atol=1e-13)


@pytest.mark.laws
def test_the_m_step_is_the_argmax(case):
    stats, _ = e_step(case.model, case.truth, _of_weight_one(case.data(64)), **case.settings)
    best = m_step(case.model, stats, case.truth)
    _check_argmax(case.model, stats, best, case.truth, {*case.model.frozen, *case.given})
    np.testing.assert_allclose(np.sum(best.weights), 1, rtol=1e-14)


def test_what_is_frozen_stays_and_the_rest_is_still_the_argmax(case):
    stats, _ = e_step(case.model, case.truth, _of_weight_one(case.data(64)), **case.settings)
    for name in ("weights", *vars(case.truth.components)):
        frozen = dataclasses.replace(case.model, frozen=(name,))
        best = m_step(frozen, stats, case.truth)
        np.testing.assert_array_equal(getattr(best, name), getattr(case.truth, name))
        _check_argmax(case.model, stats, best, case.truth, {name, *case.given})


def _check_argmax(model, stats, best, start, fixed):
    level, slope = expected(model, stats, best)
    _, steep = expected(model, stats, start)
    for name in set(slope) - fixed:
        assert slope[name] < 1e-10 * max(1, steep[name]), name
    if set(slope) - fixed:
        for t in (1e-3, 0.1):
            near = jax.tree.map(lambda a, b, t=t: (1 - t) * a + t * b, best, start)
            assert expected(model, stats, near)[0] < level


@pytest.mark.parametrize("case", [c for c in QUICK if c.values[0] in RUNS], indirect=True)
def test_the_objective_never_falls_and_belongs_to_the_parameters(case):
    _check_run(case, np.float64)


@pytest.mark.parametrize("case", RUNS, indirect=True)
def test_the_objective_never_falls_in_float32(case):
    _check_run(case, np.float32)


def _check_run(case, dtype):
    # Stated tolerance: 16 units in the last place of every row's share of the total.
    x = case.data(256).astype(dtype)
    start = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), some_start(case))
    run = em(case.model, start, x, 40, **case.settings)
    trace = np.asarray(run.trace)[: run.n_iter + 1]
    assert run.log_likelihood.dtype == dtype and np.isfinite(trace).all()
    eps = np.finfo(dtype).eps
    floor = 16 * eps * (len(x) + np.abs(trace).max())
    assert trace[-1] > trace[0] + 1 and np.diff(trace).min() >= -floor
    assert run.status in (jaxem.Status.MAX_ITER, jaxem.Status.STALLED)
    _, total = e_step(case.model, run.params, x, **case.settings)
    objective = float(total) + float(log_prior(case.model, run.params))
    np.testing.assert_allclose(run.objective, objective, rtol=50 * eps)
    np.testing.assert_allclose(
        run.log_likelihood, log_prob(case.model, run.params, x).sum(), rtol=50 * eps
    )


@pytest.mark.parametrize("case", [c for c in QUICK if c.values[0] in RUNS], indirect=True)
def test_permuting_components_permutes_the_result(case):
    x = case.data(256)
    start = jax.tree.map(np.asarray, some_start(case))
    flip = lambda params: by_component(lambda leaf: np.asarray(leaf)[PERMUTATION], params)  # noqa: E731
    one, two = (
        em(case.model, start, x, 3, **case.settings),
        em(case.model, flip(start), x, 3, **case.settings),
    )
    chex.assert_trees_all_close(flip(one.params), two.params, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(one.objective, two.objective, rtol=1e-12)


def test_densities_sum_to_one(case):
    points, volume = case.grid()
    density = np.exp(log_prob(case.model, case.truth, points))
    np.testing.assert_allclose(density @ volume, 1, rtol=1e-9)


def test_log_densities_equal_scipy(case):
    x = case.data(64)
    want = np.log(case.truth.weights)[None] + case.log_density(case.truth.components, x)
    got = log_joint(case.model, case.truth, x)
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)
    whole = np.logaddexp.reduce(want, axis=1)
    np.testing.assert_allclose(log_prob(case.model, case.truth, x), whole, rtol=1e-10)
    posterior = case.model.predict_proba(case.truth, x)
    np.testing.assert_allclose(posterior, np.exp(want - whole[:, None]), rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(case.model.predict(case.truth, x), want.argmax(axis=1))


@pytest.mark.parametrize("case", RUNS, indirect=True)
def test_a_fit_recovers_the_truth_without_lapack_and_at_full_precision(case, tmp_path):
    x = case.data(2000)
    jax.config.update("jax_dump_ir_to", str(tmp_path))
    try:
        fits = jaxem.fit(case.model, x, key=jax.random.key(1), n_starts=4, **case.settings)
    finally:
        jax.config.update("jax_dump_ir_to", None)
    _check_recovery(case, fits.best())
    program = "\n".join(path.read_text() for path in tmp_path.glob("*.mlir"))
    assert "stablehlo.while" in program, "the compiled loop was not seen"
    calls = set(re.findall(r"custom_call @(\w+)", program))
    assert not {name for name in calls if "lapack" in name or "blas" in name}
    assert not re.search(r"stablehlo\.(cholesky|triangular_solve)", program)
    products = re.findall(r"stablehlo\.dot_general.*", program)
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


def _check_recovery(case, best):
    assert best.status == jaxem.Status.CONVERGED
    names = [field.name for field in dataclasses.fields(best.params.components)]
    gaps = []
    for order in itertools.permutations(range(3)):
        params = by_component(lambda leaf, order=order: leaf[np.array(order)], best.params)
        pairs = [(getattr(params, name), getattr(case.truth, name)) for name in ("weights", *names)]
        gaps.append(max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs))
    assert min(gaps) < 0.2
