"""Files that are larger than the memory limit are read in blocks: the answers are those of the file
read as a whole."""

import json
from pathlib import Path

import numpy as np
import pytest
from problems import clouds
from typer.testing import CliRunner

from jaxem.cli.app import app
from jaxem.cli.large import bytes_of

X = clouds(6000, seed=3)
LIMIT = ("--memory-limit", "64KB")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXEM_CACHE", "0")
    np.save("x.npy", X)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def write_parquet(file, **columns):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), file, row_group_size=300)


def best(document):
    order = np.argsort(document["best"]["means"], axis=0)[:, 0]
    return np.array(document["best"]["means"])[order]


def test_fit_and_predict_block_by_block():
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    write_parquet("x.parquet", a=X[:, 0], name=["n"] * len(X), b=X[:, 1], w=weight)
    asked = (
        "x.parquet",
        "-k",
        "2:3",
        "--starts",
        6,
        "--tol",
        1e-9,
        "--columns",
        "a,b",
        "--sample-weight",
        "w",
    )
    whole = answer("fit", *asked)
    parts = answer("fit", *asked, *LIMIT, "--out", "m.npz")
    assert parts["n_rows"] == 6000 and parts["columns"] == ["a", "b"]
    np.testing.assert_allclose(best(parts), best(whole), atol=1e-5)
    for one, other in zip(parts["models"], whole["models"], strict=True):
        assert one["bic"] == pytest.approx(other["bic"], rel=1e-8)
    options = ("m.npz", "x.parquet", "--proba", "--score", "--out")
    assert run("predict", *options, "whole.csv").exit_code == 0
    said = run("predict", *options, "parts.csv", *LIMIT)
    assert said.exit_code == 0 and "labels: parts.csv (6000 rows; " in said.output
    whole, parts = (np.loadtxt(f, delimiter=",", skiprows=1) for f in ("whole.csv", "parts.csv"))
    np.testing.assert_allclose(parts, whole, rtol=1e-10, atol=1e-12)
    assert len(parts) == 6000
    assert Path("parts.csv").read_text().startswith("component,p1,p2,p3,log_density\n")


def test_the_levels_of_categories_are_those_of_all_rows():
    x = np.random.default_rng(0).integers(0, 3, size=(9000, 3))
    x[-1] = 4  # a level that the first rows do not have
    np.save("x.npy", x)
    found = answer("fit", "x.npy", "--family", "categorical", "-k", 2, "--starts", 2, *LIMIT)
    assert np.shape(found["best"]["probabilities"])[-1] == 5


def test_arrow_files_and_folders_are_read_as_a_whole_where_they_are_small(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    (tmp_path / "parts").mkdir()
    for i in range(4):
        table = pyarrow.table({"a": X[i::4, 0], "b": X[i::4, 1]})
        with pyarrow.ipc.new_file(f"parts/{i}.arrow", table.schema) as file:
            file.write_table(table)
    asked = ("-k", 3, "--starts", 6, "--tol", 1e-9)
    found = answer("fit", "parts", *asked)
    assert found["n_rows"] == 6000 and found["columns"] == ["a", "b"]
    np.testing.assert_allclose(best(found), best(answer("fit", "x.npy", *asked)), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep", "x.npy", "--folds", 2, *LIMIT), "cross-validation needs all rows"),
        (("fit", "x.npy", "--memory-limit", "many"), "must be bytes, such as 300MB"),
        (("fit", "x.npy", "--columns", "x5", *LIMIT), "x.npy: no column 'x5'; choose from x0, x1"),
        (("fit", "x.npy", "--columns", "x1", "--sample-weight", "x1", *LIMIT), "no column is left"),
    ],
)
def test_what_can_be_mended_is_told(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_bad_cells_are_told_with_their_rows():
    assert run("fit", "x.npy", "-k", 2, "--starts", 2, "--out", "m.npz").exit_code == 0
    x = X.copy()
    x[1777, 1] = np.nan
    np.save("x.npy", x)
    for command in (("fit", "x.npy"), ("predict", "m.npz", "x.npy", "--out", "y.csv")):
        result = run(*command, *LIMIT)
        assert result.exit_code == 2 and "row 1777" in result.stderr
    result = run("predict", "m.npz", "x.npy", *LIMIT, "--json")
    assert result.exit_code == 2 and "say --out" in result.stderr


@pytest.mark.parametrize(
    ("text", "size"), [("300MB", 300_000_000), ("2 gb", 2_000_000_000), ("1.5K", 1500), ("64", 64)]
)
def test_sizes(text, size):
    assert bytes_of(text) == size
