"""Laws of one run whatever it is told: how long, when to stop, whether to leap, what to record."""

import jax
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

import jaxem
from jaxem import Status
from jaxem.engine.accelerators import ACCELERATORS
from jaxem.engine.stopping import RULES

MODEL = jaxem.Mixture(jaxem.Poisson(), n_components=2)
X = np.random.default_rng(0).poisson(np.repeat([3.0, 9.0], 40)[:, None]).astype(float)
START = jaxem.MixtureParams(np.array([0.3, 0.7]), jaxem.PoissonParams(np.array([[1.0], [4.0]])))
#: Room for every run's record: another length is another program.
KEPT = 40

# What is compiled anew (stop, accelerate, whether there is a record) has few values.
controls = st.fixed_dictionaries(
    dict(
        tol=st.sampled_from([0.0, 1e-12, 1e-8, 1e-5, 1e-2]),
        max_iter=st.integers(0, KEPT),
        guard=st.booleans(),
        stop=st.sampled_from(list(RULES)),
        accelerate=st.sampled_from([None, *ACCELERATORS]),
        trace=st.sampled_from([0, KEPT]),
    )
)
log_prob = jax.jit(MODEL.log_prob)


@settings(max_examples=16)
@given(controls, st.integers(0, KEPT))
@example(dict(tol=0.0, max_iter=30, trace=KEPT), 11)
def test_a_run_keeps_its_word(control, shorter):
    run = jaxem.em(MODEL, START, X, **control)
    assert run.status in (Status.CONVERGED, Status.STALLED, Status.MAX_ITER)
    assert 0 <= run.n_iter <= control["max_iter"]
    assert run.status != Status.MAX_ITER or run.n_iter == control["max_iter"]
    # What is reported is of these parameters, and no lower than where it began.
    np.testing.assert_allclose(run.log_likelihood, log_prob(run.params, X).sum(), rtol=1e-12)
    assert run.objective >= float(log_prob(START, X).sum()) * (1 + 1e-12)
    np.testing.assert_allclose(np.sum(run.params.weights), 1, rtol=1e-12)
    # Less time is the beginning of the same path.
    brief = jaxem.em(MODEL, START, X, **control | dict(max_iter=min(shorter, control["max_iter"])))
    assert brief.n_iter == min(shorter, run.n_iter)
    assert brief.objective <= run.objective + 1e-12 * abs(run.objective)
    if control["trace"]:
        _check_record(run, brief)


def _check_record(run, brief):
    """Of every iteration, none lower than the one before, and the last is the run's own."""
    path, begun = (np.asarray(r.trace)[: r.n_iter + 1] for r in (run, brief))
    assert np.isfinite(path).all() and np.isnan(np.asarray(run.trace)[len(path) :]).all()
    assert (np.diff(path) >= -1e-12 * np.abs(path[1:])).all()
    np.testing.assert_allclose(path[-1], run.objective, rtol=1e-14)
    # The last entry is evaluated once more, in the units of the data.
    np.testing.assert_allclose(begun, path[: len(begun)], rtol=1e-13)


@settings(max_examples=8)
@given(st.integers(0, 20), st.integers(0, 20))
def test_two_runs_are_one_of_their_length(first, second):
    """Plain EM remembers nothing but its parameters."""
    go = lambda start, n: jaxem.em(MODEL, start, X, tol=0.0, max_iter=n, trace=KEPT)  # noqa: E731
    half = go(START, first)
    both, whole = go(half.params, second), go(START, first + second)
    for a, b in zip(jax.tree.leaves(both.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(both.objective, whole.objective, rtol=1e-13)
