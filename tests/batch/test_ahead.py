"""Programs of a call are compiled side by side: the ones that run, each once."""

import threading

import jax
import numpy as np
import pytest
from problems import clouds, mixture

import jaxem
from jaxem.batch import scheduler
from jaxem.core import compiled

X = clouds(211)
SETS = [X[:71], X[71:150], X[150:]]


def fit(**options):
    return jaxem.fit(mixture(), X, key=0, n_starts=5, max_iter=60, **options)


def raced():
    return jaxem.fit(mixture(), X, key=0, n_starts=70, max_iter=60)


def fit_many():
    return jaxem.fit_many(mixture(), SETS, key=0, n_starts=3, max_iter=60)


@pytest.fixture
def compiling():
    """The thread of every program that is compiled."""
    threads = []

    def on_event(event, seconds, **_):
        if event.endswith("backend_compile_duration"):
            threads.append(threading.get_ident())

    jax.monitoring.register_event_duration_secs_listener(on_event)
    yield threads
    jax.monitoring.unregister_event_duration_listener(on_event)


@pytest.mark.parametrize("call", [fit, raced, fit_many])
def test_programs_are_compiled_in_other_threads_and_once(compiling, monkeypatch, call):
    compiled.drop()
    first = call()
    here = compiling.count(threading.get_ident())
    assert len(compiling) - here == 3 and first.report.programs <= 5
    assert call().report.programs == 0
    monkeypatch.setattr(scheduler, "compile_ahead", lambda *_: None)
    compiled.drop()
    alone = call()
    assert alone.report.programs == first.report.programs
    np.testing.assert_array_equal(alone.log_likelihood, first.log_likelihood)


def test_what_cannot_be_traced_fails_in_the_call():
    def init(key, x, weight, k):
        raise TypeError("no start here")

    with pytest.raises(TypeError, match="no start here"):
        fit(init=init)
