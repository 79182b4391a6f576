"""New numbers compile nothing: tol, max_iter, priors, exponent, weights, data of one shape."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem.core.compilation import Compilations

COMPILE = "/jax/core/compile/backend_compile_duration"
_compiled: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, _, **kw: _compiled.append(kw.get("fun_name", "?")) if event == COMPILE else None
)


@contextlib.contextmanager
def nothing_compiles():
    """Fail when any program is compiled (or fetched from the compilation cache) inside."""
    before = len(_compiled)
    yield
    assert _compiled[before:] == []


def _x(seed, n=90):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(m, 1.0, size=(n // 2, 2)) for m in (0, 5)])


def _full(reg_covar=1e-6, strength=0.1, weight_prior=2.0):
    prior = jaxem.NormalInverseWishart(
        jnp.zeros(2), jnp.asarray(strength), jnp.asarray(5.0), strength * jnp.eye(2)
    )
    return jaxem.Mixture(
        jaxem.Gaussian("full", reg_covar=reg_covar, prior=prior),
        n_components=2,
        weight_prior=weight_prior,
    )


def _poisson(shape=2.0):
    return jaxem.Mixture(jaxem.Poisson(jaxem.Gamma(shape, 0.5)), n_components=2)


NUMBERS = [
    dict(tol=1e-3),
    dict(max_iter=17),
    dict(reg_covar=1e-3),
    dict(strength=0.7),
    dict(exponent=0.5),
    dict(weight_prior=5.0),
    dict(seed=1),
    dict(weights=2),
]


def _run(how, *, tol=1e-5, max_iter=30, seed=0, weights=1, exponent=1.0, **numbers):
    model, x = _full(**numbers), _x(seed)
    weight = np.random.default_rng(weights).uniform(0.5, 1.5, len(x))
    if how == "fit":
        options = dict(key=jax.random.key(seed), n_starts=3, sample_weight=weight)
        options |= dict(tol=tol, max_iter=max_iter, exponent=exponent)
        result = jaxem.fit(model, x, **options)
    else:
        label = jnp.asarray(np.arange(len(x)) % 2)
        start = _seed(model, x, jax.nn.one_hot(label, 2))
        run = jaxem.em if how == "em" else _em
        options = dict(sample_weight=weight, tol=tol, max_iter=max_iter, exponent=exponent)
        result = run(model, start, x, **options)
    return jax.block_until_ready(result)


_seed = jax.jit(lambda model, x, r: model.seed(x, r))
_em = jax.jit(jaxem.em)


@pytest.mark.parametrize("how", ["em", "em under jit", "fit"])
def test_new_numbers_compile_nothing(how):
    _run(how)
    for numbers in NUMBERS:
        with nothing_compiles():
            _run(how, **numbers)


def test_a_second_call_traces_no_features(monkeypatch):
    traced = []
    family = type(jaxem.Poisson())
    features = family.features
    monkeypatch.setattr(family, "features", lambda *args: traced.append(1) or features(*args))
    rows = np.round(np.abs(_x(3, 76)) * 3)
    for call, x in ((jaxem.fit, rows), (jaxem.fit_many, [rows, rows[:50]])):
        for _ in range(2):
            before = len(traced)
            call(_poisson(), x, key=jax.random.key(0), n_starts=2, max_iter=2)
        assert len(traced) == before > 0


def test_the_counter_sees_a_new_shape():
    _run("em")
    with pytest.raises(AssertionError, match="em"), nothing_compiles():
        jaxem.em(_full(), _seed(_full(), _x(0), np.full((90, 2), 0.5)), _x(0, 92), max_iter=3)


def test_a_sweep_over_priors_is_one_more_vmap():
    x = np.round(np.abs(_x(0)) * 3)
    start = jaxem.MixtureParams(
        jnp.asarray([0.5, 0.5]), jaxem.PoissonParams(jnp.asarray([[1.0, 2.0], [9.0, 8.0]]))
    )
    shapes = jnp.asarray([1.5, 2.0, 4.0])
    many = jax.vmap(lambda s: jaxem.em(_poisson(s), start, x, max_iter=20, tol=0.0))(shapes)
    for i, shape in enumerate(shapes):
        one = jaxem.em(_poisson(shape), start, x, max_iter=20, tol=0.0)
        np.testing.assert_allclose(many.params.rates[i], one.params.rates, rtol=1e-10)
    assert len(np.unique(np.asarray(many.log_likelihood))) == 3


def test_em_and_fit_leak_no_tracer():
    x = np.arange(20.0)
    start = jaxem.MixtureParams(
        jnp.asarray([0.5, 0.5]), jaxem.PoissonParams(jnp.asarray([[3.0], [14.0]]))
    )
    with jax.checking_leaks():
        jax.jit(jaxem.em)(_poisson(), start, x, max_iter=2)
        jaxem.fit(_poisson(), x, key=jax.random.key(0), n_starts=1, max_iter=2)


def test_a_spell_of_compiling_within_another_counts_once():
    count = Compilations()
    count.add(2.0, 3.0)
    count.add(4.0, 5.0)
    count.add(1.0, 6.0)  # ended last: the two were parts of it
    count.add(6.5, 7.0)
    assert count.seconds == 5.5
