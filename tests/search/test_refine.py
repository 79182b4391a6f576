"""float32 fits that need more digits get them: narrow components, lost lanes, winners and ties."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from jaxem import Status
from jaxem.core.model_protocol import Compute
from jaxem.data.scaling import scaling_within, to_scaled
from jaxem.kernels import blocked
from jaxem.numerics import einsum
from jaxem.search import refine


def _narrow(n=600, ratio=0.03):
    """Two broad clusters and one whose deviation is `ratio` of the cloud's."""
    rng = np.random.default_rng(0)
    means = np.array([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.2]])
    label = np.arange(n) % 3
    scales = np.array([0.5, 0.5, ratio])[label, None]
    return (means[label] + scales * rng.normal(size=(n, 2))).astype(np.float32)


def _exactly(params, x):
    """Log-likelihood in float64 of parameters as they are."""
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
    return float(jnp.sum(model.log_prob(wide, jnp.asarray(x, jnp.float64))))


def test_every_start_at_the_best_optimum_reports_the_likelihood_of_its_parameters():
    x = _narrow()
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=16, tol=1e-7, race=False)
    top = np.flatnonzero(fits.objective > float(fits.best().objective) - 0.05)
    assert top.size > refine.CONTENDERS
    for i in top.tolist():
        assert fits.log_likelihood.dtype == np.float32
        want = _exactly(fits[i].params, x)
        np.testing.assert_allclose(fits.log_likelihood[i], want, rtol=1e-6)


def _fits(objective, status):
    value = np.asarray(objective, np.float32)
    weights = np.linspace(0.1, 0.9, value.size)[:, None] * [1.0, 0.0]  # each an optimum of its own
    params = jaxem.MixtureParams(weights, None)
    return jaxem.Fit(params, value, value, np.asarray(status), np.zeros(value.size, int))


def _worthwhile(fits, condition, groups=0):
    marks = np.sort(fits.params.weights, axis=1)
    groups = np.zeros(fits.status.size, int) + groups
    return list(refine.worthwhile(fits, condition, groups, marks))


def test_contenders_narrow_and_lost_lanes_go_on():
    done = Status.CONVERGED
    status = [done, done, done, done, done, done, Status.SINGULAR, Status.PRUNED, Status.DEGENERATE]
    fits = _fits([-100, -100, -100, -100, -100, -150, -90, -120, -50], status)
    condition = np.array([1, 1, 1, 1, 1, 1e5, 1, 1e9, 1e9])
    # Four of the five that lead, the narrow one, and the lost one: no pruned or degenerate ones.
    assert _worthwhile(fits, condition) == [0, 1, 2, 3, 5, 6]


def test_the_best_of_each_data_set_go_on():
    fits = _fits([-5, -4, -9, -100, -100, -8.0], [Status.CONVERGED] * 6)
    assert _worthwhile(fits, np.zeros(6), [0, 0, 0, 1, 1, 1]) == [1, 5]


def test_among_ties_the_winner_is_one_that_converged():
    value = np.array([-1000, -1000.001, -1000.002, -1001], np.float32)  # a unit is 6e-5
    status = [Status.STALLED, Status.CONVERGED, Status.CONVERGED, Status.CONVERGED]
    assert float(_fits(value, status).best().objective) == value[1]
    assert float(_fits(value, [Status.STALLED] * 4).best().objective) == value[0]
    wide = _fits(value, status)
    apart = jaxem.Fit(None, wide.objective.astype(float), wide.objective.astype(float),
                      wide.status, wide.n_iter)  # fmt: skip
    assert apart.best().status == Status.STALLED  # float64 tells them apart
    rows = jaxem.Fit(None, *(np.stack([value, value[::-1]]) for _ in range(2)),
                     np.stack([status, status[::-1]]), np.zeros((2, 4), int))  # fmt: skip
    np.testing.assert_array_equal(rows.best().objective, value[[1, 1]])


def _kept(a, bits):
    """float32 to so many bits of mantissa, cut off."""
    mask = jnp.uint32(0xFFFFFFFF << (24 - bits) & 0xFFFFFFFF)
    return jax.lax.bitcast_convert_type(jax.lax.bitcast_convert_type(a, jnp.uint32) & mask, a.dtype)


def _split(spec, a, b, precision):
    """Three products of short numbers, as matrix units take them."""
    if a.dtype != jnp.float32:
        return einsum(spec, a, b)
    bits = {"tf32x3": 11, "bf16x3": 8}[precision]
    (a, a_rest), (b, b_rest) = ((_kept(c, bits), _kept(c - _kept(c, bits), bits)) for c in (a, b))
    return einsum(spec, a_rest, b) + einsum(spec, a, b_rest) + einsum(spec, a, b)


def _seen(model, compute, params, x):
    """The log-likelihood by the products of a step."""
    scaling = scaling_within(model.family, jnp.asarray(x), jnp.ones(len(x), x.dtype))
    z = (x - scaling.shift[None]) / scaling.scale[None]
    prepared = model.prepare(z, compute=compute)
    here = to_scaled(model, params, scaling)
    return float(model.expect(here, prepared, 0.0)[1] - len(x) * jnp.log(scaling.scale).sum())


def test_winners_of_a_fast_precision_report_what_float64_says(monkeypatch):
    monkeypatch.setattr(blocked, "device_einsum", _split)
    x = _narrow(240, 0.3)
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    options = dict(n_starts=16, tol=1e-5, race=False, accelerate=None, precision="bf16x3")
    fits = jaxem.fit(model, x, key=jax.random.key(0), **options)
    best = fits.best()
    np.testing.assert_allclose(best.log_likelihood, _exactly(best.params, x), rtol=1e-6)
    # The step itself does lose digits: what is reported is not what it saw.
    seen = _seen(model, Compute(precision="bf16x3"), best.params, x)
    assert abs(seen / _exactly(best.params, x) - 1) > 2e-6


def test_the_trace_of_a_winner_goes_on_in_float64():
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    fits = jaxem.fit(model, _narrow(), key=jax.random.key(0), n_starts=16, race=False, trace=True)
    assert fits.trace.dtype == np.float32
    last = np.take_along_axis(fits.trace, fits.n_iter[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(last, fits.objective, rtol=2e-6)
    kept = np.isfinite(fits.trace).sum(axis=1)
    np.testing.assert_array_equal(kept[fits.sound], fits.n_iter[fits.sound] + 1)


def test_another_number_of_contenders_compiles_no_new_step():
    assert [refine.room_for(n, 3000) for n in (1, 2, 4, 5)] == [4, 4, 4, 5]
    assert refine.room_for(1, 1 << 20) == 1  # three more lanes would cost more than a program


def test_a_child_that_failed_is_not_gone_on_with():
    status = np.array([Status.CONVERGED, Status.SINGULAR, Status.SINGULAR])
    objective = np.array([-5.0, -9.0, -9.0], np.float32)
    fits = _fits(objective, status)
    assert _worthwhile(fits, np.zeros(3)) == [0, 1, 2]
    fits = dataclasses.replace(fits, parent=np.array([-1, -1, 0]))
    assert _worthwhile(fits, np.zeros(3)) == [0, 1]
