"""`online_em`: one pass over rows that are read in blocks."""

import jax
import numpy as np
import pytest
from helpers import assert_leaves_close, assert_same_bits
from problems import clouds, mixture

import jaxem
from jaxem.core.compilation import compilations

X = clouds(700)
MODEL = mixture("diag")
START = jax.device_get(MODEL.init(jax.random.key(0), X))


def loop(x, rows, exponent=0.6):
    state = jaxem.online_start(MODEL, START, x[:rows])
    for i in range(rows, len(x), rows):
        state = jaxem.online_step(MODEL, state, x[i : i + rows], exponent=exponent)
    return state


def test_a_pass_is_the_loop_whoever_gives_the_rows(tmp_path):
    np.save(tmp_path / "x.npy", X)
    want = loop(X, 128, exponent=0.8)
    sources = [
        X,
        (X[i : i + 90] for i in range(0, 700, 90)),  # joined and cut
        tmp_path / "x.npy",
        jaxem.open_rows(lambda: iter(np.array_split(X, 3))),
        [jaxem.Data(X[:500], np.ones(500)), jaxem.Data(X[500:], np.ones(200))],
    ]
    states = [jaxem.online_em(MODEL, START, one, rows=128, exponent=0.8) for one in sources]
    assert_leaves_close(states[0], want, 1e-11)
    for state in states[1:]:
        assert_same_bits(state, states[0])
    assert float(states[0].seen) == 700


def test_blocks_of_all_lengths_share_a_program():
    jaxem.online_em(MODEL, START, X[:300], rows=64)
    with compilations() as compiled:
        jaxem.online_em(MODEL, START, (X[i : i + 50] for i in range(0, 650, 50)), rows=64)
    assert compiled.programs == 0


def test_the_result_is_a_start():
    state = jaxem.online_em(MODEL, START, X, rows=50)
    fit = jaxem.em(MODEL, state.params, X)
    assert fit.status == jaxem.Status.CONVERGED
    assert float(fit.n_iter) < float(jaxem.em(MODEL, START, X).n_iter)
    best = jaxem.fit(MODEL, X, key=0, n_starts=20).best()
    np.testing.assert_allclose(fit.log_likelihood, best.log_likelihood, rtol=1e-5)


def test_rows_that_cannot_be_taken_in_are_named():
    bad = X[:100].copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"blocks, block 1: .*row 107"):
        jaxem.online_em(MODEL, START, [X[:100], bad], rows=50)
    with pytest.raises(ValueError, match="no rows"):
        jaxem.online_em(MODEL, START, [])
    with pytest.raises(ValueError, match="exponent"):
        jaxem.online_em(MODEL, START, X, exponent=0.5)
