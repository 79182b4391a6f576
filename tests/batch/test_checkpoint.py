"""Killed work goes on to the same bits; a foreign file is refused; a full disk costs a warning."""

import errno
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import Killed, assert_same_bits, dies_after
from problems import clouds, force_plan, mixture

import jaxem
from jaxem import Status
from jaxem.batch import checkpoint

KEY = jax.random.key(8)
X = clouds(400, gap=3.0)


def fit(path=None, x=X, **options):
    options = {"key": KEY, "n_starts": 40, "race": False, **options}
    return jaxem.fit(mixture(), x, checkpoint=path, **options)


@pytest.fixture
def every_look(monkeypatch):
    """A small bucket with lanes waiting, shrinking at the end, and a write at every look."""
    force_plan(monkeypatch, smallest=1, stride=3)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    # The kernel's own work is not what these tests wait for.
    monkeypatch.setattr(os, "fsync", lambda handle: None)


# Killed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["all", "race", "children", "anderson"])
def test_killed_at_any_look_it_goes_on_to_the_same_bits(every_look, tmp_path, how):
    options = {
        "all": dict(),
        "race": dict(race=True, n_starts=64),
        "children": dict(split_merge=2, race=True, n_starts=24),
        "anderson": dict(accelerate="anderson", n_starts=24),
    }[how]
    want = fit(**options)
    writes = []
    with pytest.MonkeyPatch.context() as patch:
        real = checkpoint.save
        patch.setattr(checkpoint, "save", lambda *args: (writes.append(1), real(*args)))
        assert_same_bits(fit(tmp_path / "whole", **options), want)
    assert len(writes) > 7
    for kill in sorted({1, 2, len(writes) - 1, *random.Random(0).sample(range(3, len(writes)), 2)}):
        path = tmp_path / f"killed{kill}"
        with pytest.MonkeyPatch.context() as patch:
            dies_after(patch, kill)
            with pytest.raises(Killed):
                fit(path, **options)
        again = fit(path, **options)
        assert_same_bits(again, want)
        assert again.report.executed == want.report.executed
        assert again.report.needed == want.report.needed


def test_killed_again_and_again(every_look, tmp_path, monkeypatch):
    want, deaths = fit(), 0
    while True:
        with pytest.MonkeyPatch.context() as patch:
            dies_after(patch, 4)
            try:
                got = fit(tmp_path / "point")
                break
            except Killed:
                deaths += 1
    assert deaths > 3
    assert_same_bits(got, want)
    assert os.listdir(tmp_path) == ["point"]


def test_finished_work_is_not_done_again(every_look, tmp_path, monkeypatch):
    want = fit(tmp_path / "point")

    def never(*args):
        raise AssertionError("a step of finished work")

    monkeypatch.setattr(jaxem.batch.packing, "_run_bucket", never)
    assert_same_bits(fit(tmp_path / "point"), want)


def test_many_data_sets_resume(every_look, tmp_path):
    sets = [clouds(200, seed=seed) for seed in range(9)]

    def many(path):
        return jaxem.fit_many(mixture(), sets, key=KEY, n_starts=4, checkpoint=path)

    want, widths = many(None), []
    with pytest.MonkeyPatch.context() as patch:
        real = checkpoint.save

        def save(path, runs, state, mark):
            bucket = runs.active_bucket
            widths.append(None if bucket is None else bucket.tiles.shape[1])
            real(path, runs, state, mark)

        patch.setattr(checkpoint, "save", save)
        assert_same_bits(many(tmp_path / "whole"), want)
    alone = widths.index(1)
    assert set(widths[:alone]) == {4}  # tiles first, then what is left of them lane by lane
    for kill in (1, alone // 2, alone, alone + 2, len(widths) - 1):
        with pytest.MonkeyPatch.context() as patch:
            dies_after(patch, kill)
            with pytest.raises(Killed):
                many(tmp_path / f"point{kill}")
        again = many(tmp_path / f"point{kill}")
        assert_same_bits(again, want)
        assert again.report.executed == want.report.executed


CHILD = """
    import sys
    sys.path[:0] = {tests!r}
    import jax, numpy as np, pytest
    for name, value in {config!r}.items():
        jax.config.update(name, value)
    # Read compiled programs, never write them: a kill would leave half a file.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1e9)
    from jaxem.batch import checkpoint
    from test_checkpoint import fit, force_plan, LONG
    force_plan(pytest.MonkeyPatch(), smallest=1, stride=3)
    checkpoint.INTERVAL = 0.0
    np.savez({out!r}, *jax.tree.leaves(fit({path!r}, **LONG)))
"""
LONG = dict(race=True, n_starts=64, tol=1e-9, max_iter=3000, accelerate=None)
#: How often the child is killed; each time costs a new process.
KILLS = int(os.environ.get("JAXEM_TEST_KILLS", "2"))
CONFIG = "jax_num_cpu_devices", "jax_enable_x64", "jax_compilation_cache_dir"


def test_kill_9_at_random_moments(every_look, tmp_path):
    want = jax.tree.leaves(fit(**LONG))
    path, out, chance, deaths = tmp_path / "point", tmp_path / "out.npz", random.Random(1), 0
    code = textwrap.dedent(CHILD).format(
        tests=[str(path) for path in Path(__file__).parents[:2]],
        config={name: getattr(jax.config, name) for name in CONFIG},
        path=str(path),
        out=str(out),
    )
    while not out.exists():
        child = subprocess.Popen([sys.executable, "-c", code])
        before = path.stat().st_mtime_ns if path.exists() else 0
        while child.poll() is None:  # until it has written something new, and then a little
            if path.exists() and path.stat().st_mtime_ns != before and deaths < KILLS:
                time.sleep(chance.uniform(0, 0.1))
                child.kill()
                deaths += child.wait() == -signal.SIGKILL
            time.sleep(0.002)
        assert child.wait() in (0, -signal.SIGKILL)
    assert deaths == KILLS
    with np.load(out) as got:
        for name, leaf in zip(got.files, want, strict=True):
            np.testing.assert_array_equal(got[name], leaf)


# Refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        dict(x=X + 1e-12 * X.max()),
        dict(n_starts=41),
        dict(key=jax.random.key(9)),
        dict(tol=1e-5),
        dict(init="random"),
        dict(accelerate="anderson"),
        dict(race=True),
        dict(race=None, split_merge=1),
        dict(sample_weight=np.linspace(1, 2, 400)),
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_checkpoint_of_another_problem_is_refused(every_look, tmp_path, other):
    path = tmp_path / "point"
    fit(path, max_iter=3)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"point belongs to another problem.*move it away"):
        fit(path, max_iter=3, **other)
    assert path.read_bytes() == before


def test_another_model_or_version_is_refused(every_look, tmp_path, monkeypatch):
    path = tmp_path / "point"
    fit(path, max_iter=3)
    for model in (mixture("tied"), mixture(reg_covar=1e-6), mixture(k=2)):
        with pytest.raises(ValueError, match="another problem"):
            jaxem.fit(model, X, checkpoint=path, key=KEY, n_starts=40, race=False, max_iter=3)
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT - 1)
    with pytest.raises(ValueError, match="newer jaxem"):
        fit(path, max_iter=3)
    monkeypatch.undo()
    force_plan(monkeypatch, smallest=1, stride=3)
    monkeypatch.setattr(checkpoint, "__version__", "0.0.0")
    with pytest.raises(ValueError, match="another problem"):
        fit(path, max_iter=3)


@pytest.mark.parametrize("damage", ["truncated", "one byte", "text", "empty", "npz", "folder"])
def test_a_file_that_is_no_checkpoint_is_refused(every_look, tmp_path, damage):
    path = tmp_path / "point"
    fit(path, max_iter=3)
    whole = path.read_bytes()
    if damage == "npz":
        np.savez(tmp_path / "other.npz", a=np.zeros(3))
        (tmp_path / "other.npz").rename(path)
    elif damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        bad = {"truncated": whole[:-200], "one byte": flipped, "text": b"a,b\n", "empty": b""}
        path.write_bytes(bad[damage])
    with pytest.raises(ValueError, match=r"point is not a jaxem checkpoint.*move it away"):
        fit(path, max_iter=3)


# Disk and keyboard ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_warns_once_and_the_fit_goes_on(every_look, tmp_path, monkeypatch, call):
    want, path = fit(), tmp_path / "point"
    real, calls = getattr(os, call), []

    def full(*args):
        calls.append(1)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args)

    monkeypatch.setattr(os, call, full)
    with pytest.warns(RuntimeWarning, match="was not written.*No space left") as record:
        got = fit(path)
    assert len(record) == 1
    assert_same_bits(got, want)
    assert len(calls) > 5
    assert os.listdir(tmp_path) == ["point"]  # the last good one, and no parts
    monkeypatch.setattr(os, call, real)
    assert_same_bits(fit(path), want)


def test_a_folder_that_is_not_there(every_look, tmp_path):
    with pytest.warns(RuntimeWarning, match="was not written"):
        got = fit(tmp_path / "nowhere" / "point")
    assert got.sound.all()


@pytest.mark.parametrize("kept", [False, True])
def test_ctrl_c_returns_what_is_finished(
    every_look, no_winners, tmp_path, monkeypatch, kept, ctrl_c
):
    path = tmp_path / "point" if kept else None
    real, calls = jaxem.batch.lanes.advance, []

    def advance(*args):
        calls.append(1)
        if len(calls) == 24:
            ctrl_c()
        return real(*args)

    want = fit()
    monkeypatch.setattr(jaxem.batch.lanes, "advance", advance)
    with pytest.warns(RuntimeWarning, match="interrupted: fits that had not ended.*RUNNING"):
        got = fit(path)
    monkeypatch.setattr(jaxem.batch.lanes, "advance", real)
    ended = got.status != Status.RUNNING
    assert 0 < ended.sum() < 40
    assert_same_bits(got[ended], want[ended])
    assert got.best().status == Status.CONVERGED
    assert "still running" in got.summary()
    if kept:  # and the work goes on another day, without a word
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same_bits(fit(path), want)
