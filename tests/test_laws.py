"""Laws that every family keeps inside a mixture; a new family adds one line to `cases.py`."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES

import jaxem


@pytest.fixture(params=list(CASES))
def case(request):
    family, components = CASES[request.param]
    model = jaxem.Mixture(family, n_components=2)
    truth = jaxem.MixtureParams(jnp.asarray([0.4, 0.6]), components)
    x, _ = model.sample(jax.random.key(7), truth, 400)
    return model, truth, np.asarray(x)


def test_statistics_add_over_rows_and_are_linear_in_weights(case):
    model, params, x = case
    count = np.arange(len(x)) % 3
    weighted = model.e_step(params, jaxem.Data(jnp.asarray(x), jnp.asarray(count, x.dtype)))
    chex.assert_trees_all_close(
        weighted, model.e_step(params, np.repeat(x, count, axis=0)), rtol=1e-9, atol=1e-9
    )
    parts = [model.e_step(params, part) for part in (x[:123], x[123:])]
    chex.assert_trees_all_close(
        jax.tree.map(lambda a, b: a + b, *parts), model.e_step(params, x), rtol=1e-9, atol=1e-9
    )


def test_the_m_step_beats_every_neighbour(case):
    model, params, x = case
    stats, _ = model.e_step(params, x)
    best = model.m_step(stats, params)

    def q(p):
        return jnp.sum(stats * model.coefficients(p)) + model.log_prior(p)

    weights = jnp.stack([params.weights, best.weights])
    for t in (0.01, 0.1):
        near = jax.tree.map(lambda a, b, t=t: (1 - t) * a + t * b, best, params)
        assert q(best) >= q(near) - 1e-9 * abs(q(near))
    assert jnp.all(jnp.abs(weights.sum(axis=1) - 1) < 1e-12)


def test_the_objective_never_falls_and_the_truth_is_recovered(case):
    model, truth, x = case
    start = model.init(jax.random.key(0), x)
    fit = jaxem.em(model, start, x, tol=1e-9, max_iter=300, trace=300)
    trace = np.asarray(fit.trace)
    assert (np.diff(trace[np.isfinite(trace)]) > -1e-9 * abs(trace[0])).all()
    assert fit.status == jaxem.Status.CONVERGED
    assert fit.objective >= model.e_step(truth, x)[1] + model.log_prior(truth) - 1e-9
    order = np.argsort(fit.params.weights)
    np.testing.assert_allclose(fit.params.weights[order], truth.weights, atol=0.1)


def test_float32_follows_float64(case):
    model, _, x = case
    start = model.init(jax.random.key(0), x)
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), start)
    a = jaxem.em(model, start, x, tol=0.0, max_iter=10)
    b = jaxem.em(model, narrow, x.astype(np.float32), tol=0.0, max_iter=10)
    assert b.log_likelihood.dtype == jnp.float32
    np.testing.assert_allclose(b.log_likelihood, a.log_likelihood, rtol=1e-5)


def test_permuting_components_permutes_the_result(case):
    model, params, x = case
    shared = model.family.shared

    def flip(p):
        fields = {
            name: getattr(p.components, name)[
                (slice(None) if name in shared else slice(None, None, -1))
            ]
            for name in vars(p.components)
        }
        return jaxem.MixtureParams(p.weights[::-1], type(p.components)(**fields))

    one = jaxem.em(model, params, x, tol=0.0, max_iter=5)
    two = jaxem.em(model, flip(params), x, tol=0.0, max_iter=5)
    chex.assert_trees_all_close(flip(one.params), two.params, rtol=1e-8, atol=1e-10)
