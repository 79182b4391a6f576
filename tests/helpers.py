"""What tests of several rooms ask of results, and results made up for them."""

import dataclasses

import jax
import numpy as np

import jaxem
from jaxem import Status
from jaxem.batch import checkpoint
from jaxem.results.sweep import Row

# The same, from the strictest on ------------------------------------------------------------------


def assert_identical(a, b):
    """Equal classes, static fields, and leaves: bits, dtypes and shapes; whichever object a fit
    knows as its model."""
    a, b = (jax.tree.map(_alone, tree, is_leaf=_is_fit) for tree in (a, b))
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if not hasattr(one, "dtype"):
            assert type(one) is type(other) and one == other
            continue
        assert one.dtype == other.dtype and np.shape(one) == np.shape(other)
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
        assert not isinstance(other, jax.Array)
        assert isinstance(one, np.generic) == isinstance(other, np.generic)  # fit[i] has scalars


def _is_fit(value):
    return isinstance(value, jaxem.Fit)


def _alone(value):
    return dataclasses.replace(value, known=None) if _is_fit(value) else value


def assert_same_bits(a, b):
    """Every leaf, bit for bit (NaN equals NaN)."""
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(one, other)


def assert_leaves_close(a, b, rtol):
    """Every leaf to rounding."""
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


def assert_same(a, b, rtol=1e-7):
    """Fits of the same statuses, and everything else to rounding."""
    np.testing.assert_array_equal(a.status, b.status)
    assert_leaves_close(a, b, rtol)


def assert_same_ends(a, b, rtol=1e-6):
    """Fits that end alike at the same parameters, to rounding."""
    np.testing.assert_array_equal(a.status, b.status)
    assert_leaves_close(a.params, b.params, rtol)
    np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-9)


# Made up ------------------------------------------------------------------------------------------


def fit_of(params, lanes=(), dtype=np.float64, **changes):
    """A made-up fit of these parameters, repeated along lane axes."""
    draw = np.random.default_rng(3)
    params = jax.tree.map(
        lambda leaf: np.broadcast_to(np.asarray(leaf, dtype), (*lanes, *np.shape(leaf))).copy(),
        params,
    )
    numbers = {
        name: draw.normal(size=lanes).astype(dtype) for name in ("log_likelihood", "objective")
    }
    status = np.full(lanes, int(Status.CONVERGED), np.int32)
    fit = jaxem.Fit(params, **numbers, status=status, n_iter=np.full(lanes, 7, np.int32))
    return dataclasses.replace(fit, **changes)


def sweep_of(*kinds):
    """A made-up sweep over these cases."""
    from cases import (
        CASES,  # it computes, which processes of a run must not before they have joined
    )

    rows = []
    for kind in kinds:
        case = CASES[kind]
        fits = fit_of(case.truth, (4,), report=jaxem.Report())
        fits.log_likelihood[0] = -np.inf
        scored = jaxem.Criteria(-12.5, 5, 33.0, float("nan"), 36.0)
        rows.append(Row(3, kind, case.model, fits, scored, -4.25))
    return jaxem.Sweep(tuple(rows), "icl", jaxem.Report(needed=3))


# Killed -------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9 in places where the process has to live on."""


def dies_after(monkeypatch, writes):
    """The process dies just after so many writes."""
    real, left = checkpoint.save, [writes]

    def save(*args):
        real(*args)
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return monkeypatch.setattr(checkpoint, "save", save)
