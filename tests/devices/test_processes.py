"""Two processes on this machine, real collectives: lanes shared out, rows spread, one killed."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers import assert_leaves_close
from problems import force_plan

import jaxem
from jaxem.batch import checkpoint
from jaxem.devices import distributed

RNG = np.random.default_rng(3)
X = RNG.poisson(np.repeat([1.0, 2.5, 8.0], 60)[:, None], size=(180, 1)).astype(float)
MINE = slice(0, 70), slice(70, 180)  # rows of each process

CHILD = """
    import sys
    sys.path[:0] = {tests!r}
    import jax
    for name, value in {config!r}.items():
        jax.config.update(name, value)
    import test_processes
    test_processes.{work}(int(sys.argv[1]), sys.argv[2], {folder!r})
"""


def fit(model=None, x=X, **options):
    options = dict(n_starts=70, split_merge=1, accelerate=None, tol=1e-8) | options
    model = model or jaxem.Mixture(jaxem.Poisson(), n_components=3)
    return jaxem.fit(model, x, key=jax.random.key(4), **options)


def small(patch):
    """The same small buckets in every process, and a checkpoint at every look."""
    force_plan(patch, bucket=4, smallest=4, at_once=4, stride=4)
    patch.setattr(checkpoint, "INTERVAL", 0.0)


def join(number, address):
    """What every child begins with."""
    small(pytest.MonkeyPatch())
    assert distributed.initialize(address, 2, number, lost_after=5) == (number, 2)


def assert_saved(path, want, rtol=0.0):
    """A file of leaves holds these, to rounding or to the bit."""
    with np.load(path) as file:
        assert_leaves_close([file[name] for name in file.files], want, rtol)


# What the children do ---------------------------------------------------------------------------


def split(number, address, folder):
    """Lanes shared out; rows spread; and what is refused."""
    join(number, address)
    fits = fit(devices="all")
    np.savez(Path(folder) / f"lanes{number}", *jax.tree.leaves(fits))
    few = dict(n_starts=5, race=False, split_merge=0, max_iter=12, tol=0.0)
    model, mine = jaxem.Mixture(jaxem.Poisson(), n_components=3), X[MINE[number]]
    data = jaxem.shard_rows(mine)
    np.savez(Path(folder) / f"rows{number}", *jax.tree.leaves(fit(model, data, **few)))
    one = jaxem.em(model, fits[0].params, data, max_iter=5, tol=0.0)
    np.savez(Path(folder) / f"em{number}", *jax.tree.leaves(jax.device_get(one)))
    with pytest.raises(ValueError, match=r"dtype of x differs.*float32 in process 0, float64 in"):
        jaxem.shard_rows(mine.astype(["float32", "float64"][number]))
    with pytest.raises(ValueError, match=r"the problem .*differs between processes"):
        fit(x=X + number, devices="all")
    print("report", fits.report.executed, fits.report.needed)


def dies(number, address, folder):
    """Process 1 is killed while process 0 is in the second rung of the race."""
    join(number, address)
    real = checkpoint.save

    def save(path, runs, state, mark):
        if number == 1 and runs.syncs_done == 1:
            (Path(folder) / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, runs, state, mark)

    pytest.MonkeyPatch().setattr(checkpoint, "save", save)
    fit(devices="all", checkpoint=Path(folder) / "point")


def resumes(number, address, folder):
    """Both again, from the checkpoints: process 1 was a stage behind."""
    join(number, address)
    stages = []

    def noted(real):
        def call(path, runs, state, mark):
            found = real(path, runs, state, mark)
            stages.append(runs.syncs_done)
            return found

        return call

    for name in ("load", "resume"):
        pytest.MonkeyPatch().setattr(checkpoint, name, noted(getattr(checkpoint, name)))
    fits = fit(devices="all", checkpoint=Path(folder) / "point")
    assert stages == [1 - number, 1]
    np.savez(Path(folder) / f"resumed{number}", *jax.tree.leaves(fits))


# What is asked of them --------------------------------------------------------------------------


def _launch(work, folder):
    """Two processes that do `work`, joined through a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    names = "jax_enable_x64", "jax_compilation_cache_dir"
    config = {name: getattr(jax.config, name) for name in names} | {"jax_num_cpu_devices": 1}
    if work == "dies":  # it may read compiled programs, never leave half a file
        config["jax_persistent_cache_min_compile_time_secs"] = 1e9
    tests = [str(path) for path in Path(__file__).parents[:2]]
    code = textwrap.dedent(CHILD).format(tests=tests, config=config, work=work, folder=str(folder))
    command = [sys.executable, "-c", code]
    pipes: dict = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [subprocess.Popen([*command, str(i), address], **pipes) for i in range(2)]


def _end(children):
    said = []
    for child in children:
        try:
            said.append(child.communicate(timeout=120)[0])
        except subprocess.TimeoutExpired:
            for one in children:
                one.kill()
            raise
    return said


@pytest.fixture(scope="module")
def want():
    """One process's fits."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        return fit(), fit(n_starts=5, race=False, split_merge=0, max_iter=12, tol=0.0)


def test_two_processes_share_lanes_and_rows(want, tmp_path):
    children = _launch("split", tmp_path)
    said = _end(children)
    assert [child.returncode for child in children] == [0, 0], said
    lanes, rows = want
    start = jax.tree.map(lambda leaf: leaf[0], lanes.params)
    model = jaxem.Mixture(jaxem.Poisson(), n_components=3)
    em = jaxem.em(model, start, X, max_iter=5, tol=0.0)
    for number in (0, 1):
        assert_saved(tmp_path / f"lanes{number}.npz", lanes)
        assert_saved(tmp_path / f"rows{number}.npz", rows, 1e-9)
        assert_saved(tmp_path / f"em{number}.npz", em, 1e-9)
    executed, needed = map(int, said[0].split("report")[1].split()[:2])
    assert needed == lanes.report.needed <= executed < 2 * needed


def test_one_process_killed_the_other_ends_and_the_checkpoint_goes_on(want, tmp_path):
    children = _launch("dies", tmp_path)
    while not (tmp_path / "killed").exists() and children[1].poll() is None:
        time.sleep(0.05)
    begun = time.monotonic()
    said = _end(children)
    assert time.monotonic() - begun < 30
    assert children[1].returncode == -signal.SIGKILL and children[0].returncode not in (0, -9)
    assert "another process of this run has ended" in said[0], said[0]
    assert "with checkpoint= they go on from where they stood" in said[0]
    assert {path.name for path in tmp_path.glob("point*")} == {"point", "point.process1"}

    children = _launch("resumes", tmp_path)
    said = _end(children)
    assert [child.returncode for child in children] == [0, 0], said
    for number in (0, 1):
        assert_saved(tmp_path / f"resumed{number}.npz", want[0])


def test_nobody_to_join():
    program = "import jaxem; jaxem.distributed.initialize()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "could not join the processes of a run" in done.stderr
    assert "coordinator_address='host0:1234'" in done.stderr
