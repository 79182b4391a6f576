"""Rows of files, folders, arrays and functions: the same rows whatever they come from."""

import numpy as np
import pytest

import jaxem
from jaxem.data.blocks import RowBlocks

X = np.random.default_rng(0).normal(size=(1000, 3))


def rows_of(rows: RowBlocks, block=64) -> np.ndarray:
    return np.concatenate([piece.data.x for piece in rows.pieces(block)])


def parquet(path, table, groups=None):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(table), path, row_group_size=groups)


def columns(x=X):
    return {name: x[:, j] for j, name in enumerate("abc")}


@pytest.mark.parametrize(
    "stored",
    [X, np.asfortranarray(X), X.astype(">f8"), X.astype(np.float32), np.round(9 * X).astype(int)],
    ids=["C", "Fortran", "big-endian", "float32", "int"],
)
def test_npy_files_in_any_layout(tmp_path, stored):
    np.save(tmp_path / "x.npy", stored)
    found = rows_of(jaxem.open_rows(tmp_path / "x.npy"))
    np.testing.assert_array_equal(found, stored)
    assert found.dtype == (np.float32 if stored.dtype == np.float32 else np.float64)


def test_one_column_and_chosen_columns(tmp_path):
    np.save(tmp_path / "one.npy", X[:, 0])
    np.testing.assert_array_equal(rows_of(jaxem.open_rows(tmp_path / "one.npy")), X[:, :1])
    np.save(tmp_path / "x.npy", X)
    chosen = jaxem.open_rows(tmp_path / "x.npy", columns=[2, 0])
    np.testing.assert_array_equal(rows_of(chosen), X[:, [2, 0]])


def test_parquet_and_arrow_files_and_a_folder_of_them(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet(tmp_path / "1.parquet", columns(X[:300]), groups=70)
    table = pyarrow.table(columns(X[300:700]))
    with pyarrow.ipc.new_file(str(tmp_path / "2.arrow"), table.schema) as file:
        file.write_table(table, max_chunksize=90)
    table = pyarrow.table(columns(X[700:]))
    with pyarrow.ipc.new_stream(str(tmp_path / "3.arrow"), table.schema) as file:
        file.write_table(table)
    (tmp_path / "notes.txt").write_text("not read")
    np.testing.assert_array_equal(rows_of(jaxem.open_rows(tmp_path)), X)
    np.testing.assert_array_equal(rows_of(jaxem.open_rows([tmp_path / "3.arrow"])), X[700:])
    by_name = jaxem.open_rows(tmp_path, columns=["c", "a"])
    np.testing.assert_array_equal(rows_of(by_name), X[:, [2, 0]])


def test_weights_and_labels_are_columns(tmp_path):
    weight, label = np.arange(1000) % 4, np.arange(1000) % 3 - 1
    other = {"w": weight, "of": label, "name": ["n"] * 1000}
    parquet(tmp_path / "x.parquet", {**columns(), **other})
    rows = jaxem.open_rows(
        tmp_path / "x.parquet", columns=list("abc"), sample_weight="w", labels="of"
    )
    pieces = list(rows.pieces(128))
    np.testing.assert_array_equal(np.concatenate([p.data.x for p in pieces]), X)
    np.testing.assert_array_equal(np.concatenate([p.data.weight for p in pieces]), weight)
    np.testing.assert_array_equal(np.concatenate([p.data.label for p in pieces]), label)


class Sliced:
    """An array of which only slices can be had, as in Zarr and HDF5."""

    shape, dtype = X.shape, X.dtype

    def __len__(self):
        return len(X)

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        return X[rows]


def test_memory_maps_arrays_that_are_sliced_and_functions(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.testing.assert_array_equal(rows_of(jaxem.open_rows(np.load(tmp_path / "x.npy", "r"))), X)
    np.testing.assert_array_equal(rows_of(jaxem.open_rows(Sliced())), X)
    blocks = jaxem.open_rows(lambda: (X[i : i + 37] for i in range(0, 1000, 37)))
    np.testing.assert_array_equal(rows_of(blocks), X)
    np.testing.assert_array_equal(rows_of(blocks), X)  # a second pass


@pytest.mark.parametrize("block", [1, 7, 64, 999, 1000, 5000])
def test_blocks_have_the_length_asked_for(block):
    rows = jaxem.open_rows(lambda: np.array_split(X, 13))
    found = list(rows.blocks(block))
    assert [len(data.x) for data in found[:-1]] == [block] * (len(found) - 1)
    np.testing.assert_array_equal(np.concatenate([data.x for data in found]), X)


def refused(tmp_path):
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    (tmp_path / "broken.npy").write_bytes(b"no array")
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    (tmp_path / "x.csv").write_text("1,2")
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "x.npy", X)
    parquet(tmp_path / "x.parquet", {**columns(), "name": ["n"] * 1000})


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("missing.npy", {}, "missing.npy: no such file"),
        ("x.csv", {}, "rows are read from files that end in .npy"),
        ("empty", {}, "no file there ends in .npy"),
        ("text.npy", {}, "text.npy: needs numbers"),
        ("cube.npy", {}, "cube.npy: needs numbers of shape"),
        ("broken.npy", {}, "broken.npy: not a readable NPY file"),
        ("broken.parquet", {}, "broken.parquet: not a readable Parquet file"),
        ("x.parquet", {}, "column 'name': holds string, not numbers"),
        ("x.parquet", {"columns": ["z"]}, "no column 'z' among its 4"),
        ("x.npy", {"columns": [3]}, "no column 3 among its 3"),
        ("x.npy", {"sample_weight": 0}, "block 0 .from row 0.: sample_weight must be finite"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, source, options, message):
    refused(tmp_path)
    with pytest.raises(ValueError, match=message):
        rows_of(jaxem.open_rows(tmp_path / source, **options))


def test_sources_that_cannot_be_read_twice_or_at_all():
    with pytest.raises(ValueError, match="an iterator can be read only once"):
        jaxem.open_rows(iter([X]))
    with pytest.raises(ValueError, match="rows come from files, arrays or a function; got int"):
        jaxem.open_rows(3)
    with pytest.raises(ValueError, match="choose columns of files"):
        jaxem.open_rows(lambda: [X], columns=[0])


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (X[:, :2], "block 1, rows 1000 to 1999: holds float64 rows of shape .2., and the first"),
        (X.astype(np.float32), "holds float32 rows of shape .3., and the first block float64"),
        ([["a", "b", "c"]], "block 1 .from row 1000.: x must hold numbers"),
    ],
)
def test_a_block_unlike_the_first_is_named(second, message):
    with pytest.raises(ValueError, match=message):
        rows_of(jaxem.open_rows(lambda: [X, second]))
