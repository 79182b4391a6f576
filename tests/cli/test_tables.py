"""Tables from files: what is read, and what the message says about what is not."""

import sys

import numpy as np
import pytest

from jaxem.cli.tables import read_rows


def read_table(*arguments, **options):
    table = read_rows(*arguments, **options)
    return table.x, table.names


def _file(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "text, names",
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"]),
        ("1,2\n3,4\n", ["x0", "x1"]),
        ("a;b\n1;2\n3;4\n", ["a", "b"]),
        ("a\tb\n1\t2\n3\t4\n", ["a", "b"]),
        ("1.0 2.0\n  3.0   4.0 \n", ["x0", "x1"]),
        ('\ufeff"a","b"\r\n1, 2\r\n\r\n3,4e0\r\n', ["a", "b"]),
    ],
)
def test_text_tables(tmp_path, text, names):
    x, got = read_table(_file(tmp_path, text))
    assert got == names and x.dtype == np.float64
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])


IRIS = "5.1,3.5,setosa\n4.9,3.0,setosa\n6.0,2.2,virginica\n"


def test_chosen_columns_leave_words_alone(tmp_path):
    x, names = read_table(_file(tmp_path, IRIS), "1,0")
    assert names == ["x1", "x0"]
    np.testing.assert_array_equal(x, [[3.5, 5.1], [3.0, 4.9], [2.2, 6.0]])
    x, names = read_table(_file(tmp_path, "length,width,kind\n" + IRIS), "width")
    assert names == ["width"] and x.shape == (3, 1)


@pytest.mark.parametrize(
    "text, columns, message",
    [
        (IRIS, None, "line 1, column 'x2': 'setosa' is not a number"),
        ("a,b\n1,2\n3,\n", None, "line 3, column 'b': '' is not a number"),
        ("a,b\n1,2\n\n3,nan\n", None, "line 4, column 'b': nan is not a finite number"),
        ("a,b\n1,2\n3,inf\n", "a,b", "line 3, column 'b': inf is not a finite number"),
        ("a,b\n1,2\n3\n", None, "line 3: 1 cells where 2 were expected"),
        ("a,b\n1,2\n", "c", "no column 'c'; choose from a, b, or by number from 0 to 1"),
        ("a,b\n1,2\n", "2", "no column '2'"),
        ("a,b\n1,2\n", "a,0", "column 'a' is chosen twice"),
        ("1,oops\n2,3\n", None, "line 1: numbers and words are mixed"),
        ("", None, "the file is empty"),
        ("a,b\n", None, "a header, but no rows"),
    ],
)
def test_the_message_names_file_line_and_column(tmp_path, text, columns, message):
    path = _file(tmp_path, text)
    with pytest.raises(ValueError) as caught:
        read_table(path, columns)
    assert str(caught.value).startswith(path) and message in str(caught.value)


def test_a_mixed_first_line_is_settled_by_the_header_option(tmp_path):
    path = _file(tmp_path, "2019,total\n2,3\n4,5\n")
    x, names = read_table(path, header=True)
    assert names == ["2019", "total"] and len(x) == 2
    with pytest.raises(ValueError, match="line 1, column 'x1': 'total'"):
        read_table(path, header=False)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "picture.csv"
    path.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"picture\.csv: not a readable text table"):
        read_table(str(path))


def test_npy(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(6, dtype=np.int32).reshape(3, 2))
    x, names = read_table(str(path), "1")
    assert names == ["x1"] and x.dtype == np.float64
    np.testing.assert_array_equal(x[:, 0], [1, 3, 5])
    np.save(path, np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="row 1, column 'x0': nan"):
        read_table(str(path))
    np.save(path, np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match=r"float64 \(2, 2, 2\)"):
        read_table(str(path))
    path.write_text("not an array")
    with pytest.raises(ValueError, match=r"x\.npy: not a readable NPY file"):
        read_table(str(path))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = _file(tmp_path, "PAR1", "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match=r"x\.parquet: .* pip install pyarrow"):
        read_table(path)


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    columns = {"a": [1, 2], "b": [0.5, None], "kind": ["u", "v"]}
    parquet.write_table(pyarrow.table(columns), path)
    x, names = read_table(str(path), "a")
    assert names == ["a"] and x.tolist() == [[1.0], [2.0]]
    with pytest.raises(ValueError, match="column 'kind': holds string, not numbers"):
        read_table(str(path))
    with pytest.raises(ValueError, match="row 1, column 'b'"):
        read_table(str(path), "a,b")


def test_bundled_data_and_unknown_names():
    x, names = read_table("old_faithful", "waiting")
    assert x.shape == (272, 1) and names == ["waiting"]
    with pytest.raises(ValueError, match=r"nothing\.csv: no such file, .*old_faithful"):
        read_table("nothing.csv")
