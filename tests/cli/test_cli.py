"""The command line in process, and once for real: contents, exit codes, error lines."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

pytest.importorskip("typer")

from typer.testing import CliRunner

import jaxem
from jaxem import datasets
from jaxem.cli.app import app
from jaxem.cli.families import parse_range


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def _line(result, code=2):
    """The one line on stderr of a run that failed."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def _people(folder, n=90):
    """Two groups of heights and a column of words; the weight 0 marks rows that are absent."""
    draw = np.random.default_rng(4)
    height = np.where(np.arange(n) % 3 == 0, draw.normal(160, 5, n), draw.normal(180, 6, n))
    rows = [f"p{i},{h:.4f},{i % 4 > 0:d}\n" for i, h in enumerate(height)]
    (folder / "people.csv").write_text("who,height,count\n" + "".join(rows))
    return height, np.arange(n) % 4 > 0


def test_fit_prints_the_table_and_writes_what_was_asked_for(here):
    height, present = _people(here)
    result = _run(
        "fit", "people.csv", "--columns", "height", "--sample-weight", "count", "-k", "1:2",
        "--starts", 5, "--covariance", "spherical", "--out", "fit.npz", "--plot", "fit.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stderr == ""  # no progress where nobody watches
    assert "people.csv: 90 rows, 1 column, spherical covariance, 5 starts" in result.stdout
    assert "Best BIC: K = 2, spherical covariance" in result.stdout
    assert "5 CONVERGED" in result.stdout
    assert "s compiling" in result.stdout
    with np.load("fit.npz") as saved:
        assert saved["columns"].tolist() == ["height"] and saved["k"].tolist() == [1, 2]
        assert str(saved["covariance_type"]) == "spherical"
        assert saved["weights"][0] > saved["weights"][1]  # heaviest first, as printed
        params = jaxem.MixtureParams(
            saved["weights"], jaxem.GaussianParams(saved["means"], saved["covariances"])
        )
        model = jaxem.Mixture(jaxem.Gaussian("spherical"), n_components=2)
        value = float(np.sum(np.asarray(model.log_prob(params, height[:, None]))[present]))
        np.testing.assert_allclose(saved["log_likelihood"], value, rtol=1e-6)
        n, p = present.sum(), 5
        np.testing.assert_allclose(saved["bic"][1], p * np.log(n) - 2 * value, rtol=1e-6)
        np.testing.assert_allclose(saved["aic"][1], 2 * p - 2 * value, rtol=1e-6)
        assert saved["bic"][1] < saved["bic"][0] and (saved["icl"] >= saved["bic"]).all()
        shown = f"{saved['means'][0, 0]:.2f}"
    assert shown in result.stdout and f"{saved_share(here):.4f}" in result.stdout
    assert (here / "fit.png").read_bytes().startswith(b"\x89PNG")


def saved_share(folder):
    with np.load(folder / "fit.npz") as saved:
        return saved["weights"][0]


def test_families_of_counts_and_codes(here):
    draw = np.random.default_rng(0)
    calls = np.r_[draw.poisson(2, 60), draw.poisson(15, 30)]
    np.savetxt("calls.csv", calls, fmt="%d")
    result = _run("fit", "calls.csv", "--no-header", "--family", "poisson", "-k", 2, "--starts", 4)
    assert result.exit_code == 0, result.output
    assert "rates of each column" in result.stdout and "x0" in result.stdout
    (here / "bad.csv").write_text("calls\n1\n-2\n")
    line = _line(_run("fit", "bad.csv", "--family", "poisson", "-k", 1))
    assert line.startswith("error: bad.csv: ") and "line 3: [-2.]" in line
    assert "--trials" in _line(_run("fit", "calls.csv", "--family", "binomial"))
    line = _line(_run("fit", "calls.csv", "--family", "poisson", "--covariance", "full"))
    assert "--covariance is for --family gaussian" in line


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nothing.csv"], "nothing.csv: no such file"),
        (["people.csv"], "people.csv, line 2, column 'who': 'p0' is not a number"),
        (["people.csv", "--columns", "size"], "no column 'size'; choose from who, height, count"),
        (["galaxies", "-k", "0"], "-k must run from at least 1"),
        (["galaxies", "-k", "3:1"], "-k must run from at least 1 upwards; got '3:1'"),
        (["galaxies", "-k", "two"], "-k takes a number like 3 or a range like 1:9; got 'two'"),
        (["galaxies", "-k", "83"], "-k goes up to 83, but galaxies has only 82 rows"),
        (["galaxies", "--starts", "0"], "--starts must be at least 1; got 0"),
        (["galaxies", "--split-merge", "-1"], "--split-merge must not be negative; got -1"),
        (["galaxies", "--split-merge", "2", "--no-race"], "--split-merge needs the race"),
        (["galaxies", "--max-iter", "0"], "--max-iter must be at least 1; got 0"),
        (["galaxies", "--tol", "-1"], "--tol must not be negative"),
        (["galaxies", "--covariance", "round"], "--covariance must be one of full, tied"),
        (["galaxies", "--family", "cauchy"], "--family must be one of gaussian, poisson"),
        (["galaxies", "--out", "missing/fit.npz"], "--out: the folder missing does not exist"),
        (["galaxies", "--out", "."], "--out: . is a folder"),
        (["galaxies", "--out", "fit.csv"], "--out: fit.csv must end in .npz"),
        (["galaxies", "--devices", "9"], "--devices 9: devices=9, but this process has 8 (cpu)"),
        (["galaxies", "--devices", "some"], "--devices some: devices must be 'all', 'local' or"),
        (["galaxies", "--plot", "missing/fit.png"], "--plot: the folder missing does not exist"),
        (["galaxies", "--plot", "fit.doc"], "--plot: fit.doc must end in one of"),
        (["galaxies", "--sample-weight", "velocity"], "no column is left beside the weights"),
    ],
)
def test_what_the_user_can_mend_is_one_line(here, arguments, message):
    _people(here)
    assert message in _line(_run("fit", *arguments))


def test_a_folder_that_cannot_be_written_to_is_found_before_the_work(here, monkeypatch):
    monkeypatch.setattr("jaxem.cli.outputs.os.access", lambda *_: False)
    line = _line(_run("fit", "galaxies", "--out", here / "fit.npz"))
    assert "cannot be written to" in line


def test_pictures_without_matplotlib_say_what_to_install(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = _line(_run("fit", "galaxies", "--plot", "fit.png"))
    assert "pip install 'jaxem[plot]'" in line
    result = _run("demo", "three-coins")
    assert result.exit_code == 0 and "pip install 'jaxem[plot]'" in result.stdout


def test_no_sound_fit_is_exit_code_1(here):
    (here / "same.csv").write_text("a\n" + "3.5\n" * 12)
    result = _run("fit", "same.csv", "-k", 1, "--starts", 2, "--covariance", "spherical")
    assert "no start of any K gave a sound fit" in _line(result, code=1)
    assert "2 SINGULAR" in result.stdout


def test_demo_lists_runs_and_refuses(here):
    listed = _run("demo")
    assert listed.exit_code == 0
    for name in ("coins", "three-coins", "gaussians-1d", "gaussians-2d"):
        assert name in listed.stdout
    result = _run("demo", "coins", "--out", here)
    assert result.exit_code == 0, result.output
    assert "A: 24/30 = 0.80" in result.stdout and "21.3/8.6" in result.stdout
    assert (here / "coins.png").is_file()
    assert "choose from coins" in _line(_run("demo", "dice"))
    assert "the folder missing does not exist" in _line(_run("demo", "coins", "--out", "missing"))


def test_ranges():
    assert parse_range("3") == [3] and parse_range("1:4") == [1, 2, 3, 4]


@pytest.mark.parametrize(("devices", "count"), [("2", "2 devices"), ("all", "8 devices")])
def test_starts_are_shared_out_over_devices(devices, count):
    few = "galaxies", "-k", 2, "--starts", 4, "--covariance", "diag"
    here, there = _run("fit", *few), _run("fit", *few, "--devices", devices)
    assert f"4 starts each, on {count}" in there.stdout
    assert "device" not in here.stdout
    table, winner = (slice(1, 7), slice(9, -2))  # which of equal starts wins is left to rounding
    for part in (table, winner):
        assert here.stdout.splitlines()[part] == there.stdout.splitlines()[part]


@pytest.mark.parametrize("command", ["fit", "sweep"])
def test_generations_reach_the_fits(here, command):
    asked = command, "old_faithful", "-k", "4", "--starts", "24", "--generations", "1"
    assert _run(*asked, "--out", "out.npz").exit_code == 0
    kept = jaxem.load("out.npz")
    if command == "sweep":
        assert (kept.rows[0].fits.parent >= 0).any()
    else:
        how = dict(key=jax.random.key(0), n_starts=24, max_iter=1000, split_merge=1)
        want = jaxem.sweep(datasets.load("old_faithful"), [4], **how).best.fits
        assert np.shape(kept[1].parent) == () and kept[1].parent in want.parent
        assert float(kept[1].log_likelihood) == float(want.best().log_likelihood)


def test_a_sweep_over_devices():
    few = "galaxies", "-k", "1:2", "--starts", 4, "--covariance", "diag", "--devices", 2
    result = _run("sweep", *few)
    assert result.exit_code == 0 and "4 starts each, on 2 devices" in result.stdout
    document = json.loads(_run("sweep", *few, "--json").stdout)
    assert document["devices"] == "2" and len(document["models"]) == 2


def test_the_real_command(tmp_path):
    """Exit codes, stderr and stdout of a process in JAX's default float32 mode."""
    env = {**os.environ, "JAX_ENABLE_X64": "0"}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "jaxem", *arguments],
            capture_output=True, text=True, timeout=240, cwd=tmp_path, env=env,
        )  # fmt: skip

    done = run("fit", "galaxies", "-k", "2", "--starts", "4", "--covariance", "tied")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "galaxies: 82 rows, 1 column, tied covariance" in done.stdout
    assert "\x1b" not in done.stdout
    failed = run("fit", "nothing.csv")
    assert failed.returncode == 2 and failed.stdout == ""
    assert failed.stderr.startswith("error: nothing.csv: no such file")
    assert failed.stderr.count("\n") == 1
