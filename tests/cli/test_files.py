"""The command line from end to end on CSV files: fit, show, predict, sample and sweep, for people
and for machines; what is refused, with which exit code, and that nothing is overwritten unasked."""

import csv
import dataclasses
import json
import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest

pytest.importorskip("typer")

import typer
from cases import CASES
from helpers import fit_of, sweep_of
from typer.testing import CliRunner

import jaxem
from jaxem.cli.app import app
from jaxem.cli.options import among
from jaxem.demo import EXAMPLES
from jaxem.demo.example import Example
from jaxem.plot import new_figure as page

TRUTH = CASES["full"].truth


def run(*arguments, text=None):
    return CliRunner().invoke(app, [str(a) for a in arguments], input=text)


def done(*arguments, text=None):
    """Standard output of a command that ended well and had nothing to say on stderr."""
    result = run(*arguments, text=text)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def document(*arguments, text=None):
    """The one JSON document that a command printed; NaN is not JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    return json.loads(done(*arguments, "--json", text=text), parse_constant=refuse)


def told(*arguments, code=2):
    """The one line on stderr of a command that failed."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ") and "Traceback" not in result.output
    return line


def table(text):
    """Columns of a CSV text by name."""
    head, *rows = csv.reader(text.splitlines())
    return {name: np.array([row[j] for row in rows], float) for j, name in enumerate(head)}


def two_groups(n=90, seed=4):
    draw = np.random.default_rng(seed)
    first = np.arange(n) % 3 == 0
    return np.where(first[:, None], draw.normal([160, 55], [5, 4], (n, 2)),
                    draw.normal([182, 80], [6, 5], (n, 2)))  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """people.csv, and what `jaxem fit` made of two of its columns: fit.npz and what it printed."""
    folder = tmp_path_factory.mktemp("cli")
    rows = [f"p{i},{h:.4f},{w:.4f}\n" for i, (h, w) in enumerate(two_groups())]
    (folder / "people.csv").write_text("who,height,mass\n" + "".join(rows))
    out = done("fit", folder / "people.csv", "--columns", "height,mass", "-k", "1:2", "--starts", 4,
               "--out", folder / "fit.npz")  # fmt: skip
    (folder / "fit.txt").write_text(out)
    return folder


@pytest.fixture
def here(folder, tmp_path, monkeypatch):
    """An empty current folder, but for the two files, which no test changes."""
    monkeypatch.chdir(tmp_path)
    for name in ("people.csv", "fit.npz"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


# One file from command to command -------------------------------------------------------------


def test_python_reads_what_fit_wrote(here):
    model, fit = jaxem.load("fit.npz")
    assert model.n_components == 2 and fit.status == jaxem.Status.CONVERGED
    assert fit.params.weights[0] > fit.params.weights[1]  # heaviest first
    x = np.loadtxt("people.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    value = float(np.sum(np.asarray(model.log_prob(fit.params, x))))
    np.testing.assert_allclose(fit.log_likelihood, value, rtol=1e-9)
    saved = jaxem.io.read("fit.npz")
    assert saved.metadata["columns"] == ["height", "mass"] and saved.metadata["n_rows"] == 90
    assert [row["n_components"] for row in saved.metadata["table"]] == [1, 2]


def test_show_says_what_fit_said(here, folder):
    shown, fitted = done("show", "fit.npz"), (folder / "fit.txt").read_text()
    assert "one fit of Mixture(family=Gaussian('full'), n_components=2)" in shown
    assert f"jaxem {jaxem.__version__}" in shown and "90 rows; columns height, mass" in shown
    start = fitted.index("weight of each component")
    tables = fitted[start : fitted.index("parameters: ")]
    assert tables in shown  # weights, means and covariances to the same digits
    got = document("show", "fit.npz")
    _, fit = jaxem.load("fit.npz")
    assert got["kind"] == "fit" and got["statuses"] == {"CONVERGED": 1}
    np.testing.assert_array_equal(got["best"]["covariances"], fit.params.covariances)
    assert got["best"]["log_likelihood"] == fit.log_likelihood


def test_predict_labels_every_row(here):
    said = done("predict", "fit.npz", "people.csv", "-o", "labels.csv", "--proba", "--score")
    got = table((here / "labels.csv").read_text())
    model, fit = jaxem.load("fit.npz")
    x = np.loadtxt("people.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    proba = np.asarray(model.predict_proba(fit.params, x))
    np.testing.assert_array_equal(got["component"], proba.argmax(axis=1) + 1)
    np.testing.assert_allclose(np.c_[got["p1"], got["p2"]], proba, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got["log_density"], model.log_prob(fit.params, x), rtol=1e-12)
    assert (got["component"] == np.where(np.arange(90) % 3 == 0, 2, 1)).mean() > 0.95
    counts = np.bincount(got["component"].astype(int))[1:]
    assert f"90 rows; {counts[0]} in component 1, {counts[1]} in component 2" in said
    assert done("predict", "fit.npz", "people.csv", "-o", "-").splitlines()[0] == "component"


def test_predict_finds_the_columns_by_name(here):
    x = two_groups()
    want = done("predict", "fit.npz", "people.csv")
    lines = [f"{w:.4f},{i},{h:.4f}\n" for i, (h, w) in enumerate(x)]
    (here / "turned.csv").write_text("mass,id,height\n" + "".join(lines))
    assert done("predict", "fit.npz", "turned.csv") == want
    bare = "".join(f"{h:.4f},{w:.4f}\n" for h, w in x)  # no names: by position, here from stdin
    assert done("predict", "fit.npz", "-", text=bare) == want
    (here / "renamed.csv").write_text("h,m\n" + bare)
    line = told("predict", "fit.npz", "renamed.csv")
    assert "2 columns are needed, height, mass; 'height' is not among its 2 (h, m)" in line
    assert done("predict", "fit.npz", "renamed.csv", "--columns", "h,m") == want
    line = told("predict", "fit.npz", "renamed.csv", "--columns", "h")
    assert "fit.npz is a mixture of 2 columns, height, mass; got 1" in line
    np.save(here / "rows.npy", np.round(x, 4))
    assert done("predict", "fit.npz", "rows.npy") == want


def test_predict_for_machines(here):
    got = document("predict", "fit.npz", "people.csv", "--proba", "--score")
    labels = table(done("predict", "fit.npz", "people.csv"))["component"]
    np.testing.assert_array_equal(got["component"], labels)
    assert got["n_rows"] == 90 and sum(got["counts"]) == 90
    np.testing.assert_allclose(np.sum(got["proba"], axis=1), 1)
    _, fit = jaxem.load("fit.npz")
    np.testing.assert_allclose(got["log_likelihood"], fit.log_likelihood, rtol=1e-9)
    short = document("predict", "fit.npz", "people.csv", "-o", "labels.csv")
    assert "component" not in short and short["out"] == "labels.csv"
    np.testing.assert_array_equal(table((here / "labels.csv").read_text())["component"], labels)


def test_sample_draws_what_python_draws(here):
    text = done("sample", "fit.npz", "-n", 50, "--seed", 3, "--component")
    got = table(text)
    assert list(got) == ["height", "mass", "component"]
    model, fit = jaxem.load("fit.npz")
    draw = jax.jit(lambda params: model.sample(jax.random.key(3), params, 50))
    x, label = draw(fit.params)
    np.testing.assert_allclose(np.c_[got["height"], got["mass"]], x, rtol=1e-12)
    np.testing.assert_array_equal(got["component"], np.asarray(label) + 1)
    again = document("sample", "fit.npz", "-n", 50, "--seed", 3)
    np.testing.assert_allclose(again["x"], x, rtol=1e-12)
    said = done("sample", "fit.npz", "-n", 50, "--seed", 3, "--component", "-o", "drawn.csv")
    assert said == "rows: drawn.csv (50)\n" and (here / "drawn.csv").read_text() == text
    assert table(done("predict", "fit.npz", "drawn.csv"))["component"].size == 50


def test_fit_for_machines(here):
    got = document("fit", "people.csv", "--columns", "height,mass", "-k", "1:2", "--starts", 4,
                   "--out", "again.npz")  # fmt: skip
    assert got["columns"] == ["height", "mass"] and got["n_rows"] == 90
    assert [row["n_components"] for row in got["models"]] == [1, 2]
    assert got["best"]["n_components"] == 2 and got["best"]["status"] == "CONVERGED"
    _, fit = jaxem.load("again.npz")
    np.testing.assert_array_equal(got["best"]["means"], fit.params.means)
    assert got["out"] == "again.npz" and got["plot"] is None


def test_sweep_from_end_to_end(here):
    options = ("people.csv", "--columns", "height,mass", "-k", "1:2", "--starts", 4)
    said = done("sweep", *options, "--covariance", "VVV", "--criterion", "icl", "--out", "s.npz",
                "--plot", "s.png")  # fmt: skip
    assert "Best ICL: K = 2, full covariance, CONVERGED" in said and "4 CONVERGED" in said
    assert (here / "s.png").read_bytes().startswith(b"\x89PNG")
    sweep = jaxem.load("s.npz")
    assert sweep.criterion == "icl" and len(sweep.rows) == 2
    assert sweep[2, "full"].fits.status.shape == (4,)
    by_entropy = done("sweep", *options, "--covariance", "VVV", "--criterion", "icl_entropy")
    assert "Best ICL (entropy): K = 2" in by_entropy
    shown = done("show", "s.npz")
    assert "a sweep of 2 models" in shown and said[said.index("┏") : said.index("sweep: ")] in shown
    got = document("show", "s.npz")
    assert got["best"]["covariance_type"] == "full" and len(got["models"]) == 2
    assert got["models"][1]["icl_entropy"] >= got["models"][1]["icl"]
    labels = table(done("predict", "s.npz", "people.csv"))["component"].astype(int)
    best = sweep.best
    x = two_groups().round(4)
    want = np.asarray(best.model.predict(best.fits.best().params, x)) + 1
    np.testing.assert_array_equal(labels, want)
    got = document("sweep", *options, "--covariance", "full")
    assert got["criterion"] == "bic" and got["best"]["n_components"] == 2


# Files of other shapes ------------------------------------------------------------------------


def test_of_many_data_sets_one_is_chosen(here):
    model = CASES["full"].model
    fits = fit_of(TRUTH, (2, 3))
    fits.params.components.means[1] += 100
    jaxem.save("many.npz", (model, fits))
    assert "2 × 3 fits of Mixture" in done("show", "many.npz")
    assert document("show", "many.npz")["shape"] == [2, 3]
    line = told("sample", "many.npz", "-n", 50)
    assert "many.npz holds mixtures of 2 data sets: choose one with --data-set, 0 to 1" in line
    near, far = (table(done("sample", "many.npz", "-n", 50, "--data-set", i)) for i in (0, 1))
    assert list(near) == ["x0", "x1"]
    np.testing.assert_allclose(far["x0"], near["x0"] + 100)
    assert "choose one" in told("sample", "many.npz", "--data-set", 2)
    assert "leave --data-set out" in told("sample", "fit.npz", "--data-set", 0)


def test_of_many_starts_the_best_sound_one_is_chosen(here):
    fits = fit_of(TRUTH, (3,))
    fits.objective[:] = [1.0, 3.0, 2.0]
    fits.status[1] = jaxem.Status.SINGULAR
    fits.params.components.means[1] = np.nan
    fits.params.components.means[2] += 50
    jaxem.save("starts.npz", (CASES["full"].model, fits))
    assert "1 SINGULAR" in done("show", "starts.npz")
    result = run("sample", "starts.npz", "-n", 50)
    assert table(result.stdout)["x0"].min() > 40
    assert result.stderr.startswith("note: the best of the 3 fits in starts.npz, taken as starts")
    assert table(done("sample", "starts.npz", "-n", 50, "--data-set", 0))["x0"].min() < 40
    fits.status[:] = jaxem.Status.SINGULAR
    jaxem.save("bad.npz", (CASES["full"].model, fits))
    assert "No sound fit among 3" in told("predict", "bad.npz", "people.csv")
    assert document("show", "bad.npz")["best"] is None
    jaxem.save("nan.npz", (CASES["full"].model, fits[1]))
    assert "SINGULAR after 7 iterations); fit again" in told("sample", "nan.npz", "-n", 50)


def test_columns_of_codes_have_their_own_categories(here):
    x = np.random.default_rng(0).integers(0, [2, 4, 3], (60, 3))
    np.savetxt(here / "codes.csv", x, "%d", ",", header="a,b,c", comments="")
    done("fit", "codes.csv", "--family", "categorical", "-k", 2, "--starts", 2, "-o", "codes.npz")
    model, _ = jaxem.load("codes.npz")
    assert model.family.n_categories == (2, 4, 3)
    shown = done("show", "codes.npz")
    assert all(name in shown for name in ("a=1", "b=3", "c=2"))
    assert "a=2" not in shown and "c=3" not in shown


def test_files_without_what_a_command_needs(here):
    case = CASES["categorical"]
    jaxem.save("params.npz", case.truth)
    jaxem.save("model.npz", case.model)
    jaxem.save("pair.npz", (case.model, case.truth))
    assert "saved without its model: save (model, params)" in told("sample", "params.npz")
    assert "a model without parameters" in told("sample", "model.npz")
    assert "Categorical" in done("show", "model.npz")
    assert "probabilities" in done("show", "params.npz")
    assert "probabilities of each column" in done("show", "pair.npz")
    np.testing.assert_array_equal(
        document("show", "pair.npz")["probabilities"], case.truth.probabilities
    )
    text = done("sample", "pair.npz", "-n", 50)
    assert "." not in text  # codes are written as codes
    (here / "bad.csv").write_text("a,b,c,d,e\n\n1,2,0,0,0\n0,1,2,3,0\n")
    line = told("predict", "pair.npz", "bad.csv", "--columns", "a,b,c,d,e")
    assert "bad.csv: x must hold codes from 0 to 2; line 4: [0. 1. 2. 3. 0.]" in line


def test_names_from_a_file_do_not_command_the_terminal(here):
    jaxem.save("escape.npz", (CASES["full"].model, TRUTH), columns=["\x1b]0;owned\x07", "b"])
    text = done("show", "escape.npz")
    assert "\x1b" not in text and "\x07" not in text and "]0;owned" in text
    assert "\x1b" not in told("predict", "escape.npz", "people.csv")
    sweep = sweep_of("full")
    row = dataclasses.replace(sweep.rows[0], covariance_type="\x1b[31mred")
    jaxem.save("sweep.npz", dataclasses.replace(sweep, rows=(row,)))
    text = done("show", "sweep.npz")
    assert "\x1b" not in text and "[31mred covariance" in text


# Refused --------------------------------------------------------------------------------------


def test_nothing_is_overwritten_without_force(here):
    (here / "labels.csv").write_text("mine")
    (here / "coins.png").write_text("mine")
    for command in (
        ("fit", "galaxies", "--out", "labels.csv"),
        ("sweep", "galaxies", "-o", "labels.csv"),
        ("fit", "galaxies", "--plot", "coins.png"),
        ("predict", "fit.npz", "people.csv", "-o", "labels.csv"),
        ("sample", "fit.npz", "-o", "labels.csv"),
        ("sample", "fit.npz", "-o", "labels.csv", "--json"),
        ("demo", "coins"),
    ):
        assert "exists; name another file, or say --force" in told(*command)
        assert (here / "labels.csv").read_text() == (here / "coins.png").read_text() == "mine"
    done("sample", "fit.npz", "-n", 50, "-o", "labels.csv", "--force")
    assert len((here / "labels.csv").read_text().splitlines()) == 51


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["show", "none.npz"], "none.npz: no such file"),
        (["show", "people.csv"], "people.csv cannot be loaded: no archive"),
        (["predict", "people.csv", "fit.npz"], "people.csv cannot be loaded"),
        (["predict", "fit.npz", "none.csv"], "none.csv: no such file"),
        (["predict", "fit.npz", "people.csv", "--columns", "who,mass"], "'p0' is not a number"),
        (["predict", "fit.npz", "people.csv", "-o", "missing/l.csv"], "missing does not exist"),
        (["predict", "fit.npz", "galaxies"], "2 columns are needed, height, mass"),
        (["fit", "galaxies", "--out", "-"], "--out: standard output is no place"),
        (["sample", "fit.npz", "-n", "0"], "-n must be at least 1; got 0"),
        (["sweep", "galaxies", "--criterion", "luck"], "--criterion must be one of bic, aic, icl"),
        (["sweep", "galaxies", "--criterion", "held_out"], "held_out with --folds 2 or more"),
        (["sweep", "galaxies", "--folds", "1"], "--folds must be 0, or from 2"),
        (["sweep", "galaxies", "--covariance", "full,round"], "--covariance must be one of full"),
        (["sweep", "galaxies", "--family", "poisson"], "galaxies: x must hold counts"),
        (["demo", "dice"], "choose from coins"),
    ],
)
def test_what_the_user_can_mend_is_one_line(here, arguments, message):
    assert message in told(*arguments)


def test_columns_of_one_name_cannot_be_saved(here):
    (here / "twice.csv").write_text("a,a\n1,2\n3,4\n")
    assert "two columns are named 'a'" in told("fit", "twice.csv", "-k", 1, "--out", "t.npz")


def test_a_full_disk_is_one_line(here, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert "No space left on device" in told("sample", "fit.npz", "-n", 50, "-o", "full.csv")
    assert sorted(p.name for p in here.iterdir()) == ["fit.npz", "people.csv"]


def test_no_sound_fit_for_machines(here):
    (here / "same.csv").write_text("a,b\n" + "3.5,4\n" * 90)
    result = run("sweep", "same.csv", "-k", 2, "--starts", 4, "--covariance", "full", "--json")
    assert result.exit_code == 1
    assert "no start of any model gave a sound fit" in result.stderr
    got = json.loads(result.stdout)
    assert got["best"] is None and got["models"][0]["statuses"] == {"SINGULAR": 4}


# Around the commands --------------------------------------------------------------------------


def test_help_version_and_completion():
    assert done("--version").strip() == f"jaxem {jaxem.__version__}"
    text = done("--help")
    for command in ("fit", "sweep", "predict", "sample", "show", "demo", "bench"):
        assert f"  {command} " in text and "--json" in done(command, "-h")
    assert "Exit codes" in text and "--install-completion" in text
    assert among("full", "tied")("ti") == ["tied"] and among("full", "tied")("full,t") == [
        "full,tied"
    ]


@pytest.mark.parametrize("page", ["README.md", "docs/guides/files.md"])
def test_commands_that_the_pages_show_are_well_formed(page):
    commands = typer.main.get_command(app).commands
    text = (Path(__file__).parents[2] / page).read_text()
    lines = re.findall(r"^(?:\S*/)?jaxem (.*)$", text, re.M)
    lines += re.findall(r"`jaxem (\w+ [^`]*)`", text)
    assert len(lines) > 4
    for line in lines:
        for one in line.split("| jaxem "):
            name, *words = shlex.split(one, comments=True)
            if name not in ("--install-completion", "FILE"):
                commands[name].make_context(name, words)  # parsed, not run; raises for a stranger
    with pytest.raises(Exception, match="No such option"):
        commands["fit"].make_context("fit", ["people.csv", "--bogus"])


def test_demo_for_machines(here, monkeypatch):
    assert set(document("demo")) >= {"coins", "three-coins"}
    toy = Example("coins", "toys", lambda say: say("A: 24/30"), lambda _: {"coins.png": page(1, 1)})
    monkeypatch.setitem(EXAMPLES, "coins", toy)
    (example,) = document("demo", "coins", "--out", here)["examples"]
    assert example["text"] == ["A: 24/30"] and example["pictures"] == [str(here / "coins.png")]
    assert (here / "coins.png").is_file()


def test_bench_hands_over_or_says_where_it_is(here, monkeypatch):
    listed = document("bench", "--list")
    assert "step" in listed and listed["step"].endswith("?")
    last = document("bench", "waste", "--last")
    assert set(last) == {"waste"} and last["waste"]["verdicts"]
    monkeypatch.setattr("jaxem.cli.bench.subprocess.run", lambda *_, **__: ran(3))
    assert run("bench", "step").exit_code == 1
    monkeypatch.setattr("jaxem.__file__", str(here / "lib" / "jaxem" / "__init__.py"))
    assert "the benchmarks are not part of the installed package" in told("bench", "step")


def ran(code):
    return type("Done", (), {"returncode": code, "stdout": ""})


def test_the_format_of_numbers(here, capsys):
    from jaxem.cli.outputs import print_json, write_csv

    values = np.array([0.1, 1e300, -2.5e-8]), np.array([1.0, 2.0, -3.0]), np.array([np.nan, 1, 2])
    write_csv(None, ["a", "b,c", "d"], [values], False)
    text = capsys.readouterr().out
    assert text.splitlines()[:2] == ['a,"b,c",d', "0.1,1,nan"]
    np.testing.assert_array_equal(table(text)["a"], values[0])
    print_json({"a": np.float32(np.inf), "b": values[2], "c": (True, None, "x")})
    assert json.loads(capsys.readouterr().out) == {
        "a": None,
        "b": [None, 1, 2],
        "c": [True, None, "x"],
    }
