"""Compiled programs on disk: a second run of the command compiles nothing, and no run breaks."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("typer")

FIT = ["fit", "x.csv", "-k", "2", "--starts", "4", "--covariance", "diag", "--json"]


@pytest.fixture
def here(tmp_path):
    x = np.random.default_rng(0).normal([[0, 0], [4, 4]] * 20)
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", header="a,b", comments="")
    return tmp_path


def run(folder, *arguments, **environment):
    clean = {name: v for name, v in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    clean |= {"XDG_CACHE_HOME": str(folder / "home")} | environment
    command = [sys.executable, "-m", "jaxem", *arguments]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {name: v for name, v in json.loads(done.stdout).items() if "seconds" not in name}


def programs(folder):
    """Name and time of writing of every program on disk."""
    files = (folder / "home" / "jaxem").glob("*-cache")
    return {file.name: file.stat().st_mtime_ns for file in files}


def test_the_second_run_reads_what_the_first_compiled(here):
    first = run(here, *FIT)
    kept = programs(here)
    assert kept
    assert run(here, *FIT) == first
    assert programs(here) == kept
    for file in (here / "home" / "jaxem").glob("*-cache"):  # as a killed process leaves them
        file.write_bytes(file.read_bytes()[:100])
    assert run(here, *FIT) == first


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_it_can_be_turned_off(here, way):
    if way == "flag":
        run(here, "--no-cache", *FIT)
    else:
        run(here, *FIT, JAXEM_CACHE="0")
    assert not programs(here)


def test_a_folder_that_cannot_be_made_breaks_nothing(here):
    (here / "home").write_text("a file")
    run(here, *FIT)


@pytest.mark.skipif(os.name != "posix", reason="/dev/full is a device of Unix")
def test_a_full_disk_breaks_nothing(here):
    run(here, *FIT, XDG_CACHE_HOME="/dev/full")


def test_the_folder_that_jax_was_given_stays(here):
    own = {"JAX_COMPILATION_CACHE_DIR": str(here / "own")}
    run(here, *FIT, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0", **own)
    assert not programs(here) and list((here / "own").glob("*-cache"))
