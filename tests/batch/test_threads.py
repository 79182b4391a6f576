"""Several lines of lanes at once: the same numbers, one compilation, and errors that come home."""

import os
import threading

import jax
import numpy as np
import pytest
from problems import force_plan, mixture

import jaxem
from jaxem.batch import lanes, planning, progress
from jaxem.batch.planning import Shape
from jaxem.batch.threads import Shared, run_in_threads, split_among
from jaxem.core.model_protocol import Cost
from jaxem.core.status import Status

KEY = jax.random.key(0)
SETS = np.random.default_rng(0).normal(size=(24, 40, 2)) * [1.0, 3.0]


def fit_many(**options):
    return jaxem.fit_many(mixture(k=2), SETS, key=KEY, n_starts=3, tol=1e-8, **options)


@pytest.fixture(scope="module")
def want():
    with pytest.MonkeyPatch.context() as patch:
        force_plan(patch, bucket=8, smallest=8)
        return fit_many()


@pytest.mark.parametrize("threads", [2, 5])
def test_lines_change_no_bit(monkeypatch, want, threads):
    force_plan(monkeypatch, bucket=8, smallest=8, threads=threads)
    seen, real = set(), lanes.advance

    def advance(*args):
        seen.add(threading.get_ident())
        return real(*args)

    monkeypatch.setattr(lanes, "advance", advance)
    got = fit_many()
    assert len(seen) >= threads  # contenders run on afterwards, in threads of another call
    jax.tree.map(
        np.testing.assert_array_equal,
        (got.params, got.status, got.n_iter, got.log_likelihood),
        (want.params, want.status, want.n_iter, want.log_likelihood),
    )
    assert got.report.needed == want.report.needed
    assert got.report.executed >= got.report.needed


def test_only_one_line_compiles(monkeypatch):
    force_plan(monkeypatch, bucket=16, smallest=16, threads=4)
    x = np.random.default_rng(1).normal(size=(64, 41, 2))  # of a length that no other test has
    traced, real = [], lanes._advance
    monkeypatch.setattr(lanes, "_advance", lambda *args: traced.append(1) or real(*args))
    report = jaxem.fit_many(mixture(k=2), x, key=KEY, n_starts=2).report
    assert 0 < report.programs <= 20
    assert len(traced) == 1
    again = jaxem.fit_many(mixture(k=2), x, key=KEY, n_starts=2).report
    assert again.programs == 0


def test_progress_with_lines(monkeypatch, want, capsys):
    force_plan(monkeypatch, bucket=8, smallest=8, threads=3)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    got = fit_many(progress=True)
    np.testing.assert_array_equal(got.log_likelihood, want.log_likelihood)
    assert "/72 fits ended" in capsys.readouterr().err


def test_a_checkpoint_has_one_line(monkeypatch, want, tmp_path):
    force_plan(monkeypatch, bucket=8, smallest=8, threads=3)
    seen, real = set(), lanes.advance

    def advance(*args):
        seen.add(threading.get_ident())
        return real(*args)

    monkeypatch.setattr(lanes, "advance", advance)
    got = fit_many(checkpoint=tmp_path / "point")
    np.testing.assert_array_equal(got.log_likelihood, want.log_likelihood)
    assert seen == {threading.get_ident()}


def test_an_error_of_one_line_ends_the_others(monkeypatch):
    force_plan(monkeypatch, bucket=8, smallest=8, threads=3, stride=1)
    calls, real = [], lanes.advance

    def advance(*args):
        calls.append(1)
        if len(calls) == 7:
            raise jax.errors.JaxRuntimeError("INTERNAL: a bug")
        return real(*args)

    monkeypatch.setattr(lanes, "advance", advance)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        fit_many()
    assert len(calls) < 30  # of some hundred


def test_memory_that_runs_out_in_a_line(monkeypatch, want):
    force_plan(monkeypatch, bucket=8, smallest=8, threads=3)
    real = lanes.advance

    def advance(grid, groups, *rest):
        if len(groups) > 1:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
        return real(grid, groups, *rest)

    monkeypatch.setattr(lanes, "advance", advance)
    with pytest.warns(RuntimeWarning, match="goes on with 2 lanes"):
        got = fit_many()
    np.testing.assert_array_equal(got.status, want.status)
    # Where a degenerate fit ends is a matter of roundings, which differ between block sizes.
    ends = [fits.log_likelihood[want.sound] for fits in (got, want)]
    np.testing.assert_allclose(*ends, rtol=1e-10)


def test_ctrl_c_ends_all_lines(monkeypatch, no_winners, ctrl_c):
    force_plan(monkeypatch, bucket=8, smallest=8, threads=3, stride=1)
    want = fit_many()
    calls, real = [], lanes.advance

    def advance(*args):
        calls.append(1)
        if len(calls) == 60:
            ctrl_c()
        return real(*args)

    monkeypatch.setattr(lanes, "advance", advance)
    with pytest.warns(RuntimeWarning, match="interrupted: fits that had not ended"):
        got = fit_many()
    ended = got.status != Status.RUNNING
    assert 0 < ended.sum() < ended.size
    np.testing.assert_array_equal(got.log_likelihood[ended], want.log_likelihood[ended])


def test_settings_of_the_caller_hold_in_every_line():
    def settings(_):
        return jax.numpy.asarray(1.5).dtype, jax.config.jax_default_device

    device = jax.devices()[1]
    with jax.enable_x64(False), jax.default_device(device):
        told = run_in_threads(settings, [1, 2, 3], Shared())
    assert told == [(np.dtype(np.float32), device)] * 3


def test_lanes_are_dealt_to_lines_that_have_a_bucket_to_fill():
    sizes = [[part.size for part in split_among(np.arange(n), 8, 3)] for n in (0, 5, 9, 100)]
    assert sizes == [[0], [5], [5, 4], [34, 33, 33]]
    np.testing.assert_array_equal(np.concatenate(split_among(np.arange(100), 8, 3)), np.arange(100))


def test_lines_where_the_system_does_not_tell_its_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert (
        planning.plan_batch(Shape(256, Cost(3, 6), 1, 10_000, 4, False), 1 << 32, "cpu").threads
        == 3
    )


@pytest.mark.parametrize(
    ("kind", "devices", "shared", "buckets", "many"),
    [
        ("cpu", 1, False, 100, True),
        ("cpu", 1, True, 100, False),  # XLA spreads its large products over the cores itself
        ("cpu", 8, False, 100, False),
        ("gpu", 1, False, 100, False),
        ("cpu", 1, False, 1, False),
    ],
)
def test_lines_are_for_separate_data_on_one_cpu(kind, devices, shared, buckets, many, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    sets = 512 * buckets * devices
    shape = Shape(256, Cost(3, 6), sets if shared else 1, 1 if shared else sets, 4, shared)
    plan = planning.plan_batch(shape, 1 << 32, kind, devices)
    assert plan.threads == (4 if many else 1)
