"""Tables from files: bundled data sets, CSV with or without a header, NPY, Parquet and Arrow.

"-" is CSV from standard input. A ValueError for unreadable data names the file and, where there is
one, the line and the column.
"""

import csv
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxem import datasets
from jaxem.data.row_files import ENDINGS, describe, open_rows, paths_of

#: Column selection: "a,b" or "0,3" as typed, a list of expected names, or None for all.
Columns = str | list[str] | None


class Table(NamedTuple):
    """Rows, the names of their columns, and the position of each row in the file."""

    x: np.ndarray  #: f64[n, d]
    names: list[str]
    unit: str  #: what `where` counts: "line" (from 1) or "row" (from 0)
    where: np.ndarray  #: i[n]

    def located(self, message: str) -> str:
        """A message about "row 3" of x, the number replaced by the position in the file."""
        return re.sub(
            r"\brow (\d+)", lambda found: f"{self.unit} {self.where[int(found[1])]}", message
        )


def read_rows(source: str, columns: Columns = None, header: bool | None = None) -> Table:
    """The table of a bundled data set or a file.

    `columns` as a text lists names, or numbers counted from 0, separated by commas; other columns
    need not be numeric. `columns` as a list holds expected names: the columns of these names, in
    any position; a table without names must have as many columns. `header` says whether the first
    line of a CSV file holds names; None: look at it.
    """
    if source in datasets.names():
        return _numbers(datasets.load(source), datasets.columns(source), columns, source)
    path = Path(source)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in ENDINGS):
        return _read_arrays(path, columns)
    if source != "-" and not path.is_file():
        known = ", ".join(datasets.names())
        raise ValueError(f"{source}: no such file, and not a bundled data set ({known}).")
    return _read_csv(path, columns, header)


def column_index(text: str, names: list[str], source: object) -> int:
    """The position of a column given by name, or by number counted from 0."""
    text = text.strip()
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    raise ValueError(
        f"{source}: no column {text!r}; choose from {', '.join(names)}, "
        f"or by number from 0 to {len(names) - 1}."
    )


def positions(columns: Columns, names: list[str], source: object) -> list[int]:
    """The positions of the chosen columns."""
    if columns is None:
        return list(range(len(names)))
    if isinstance(columns, list):
        return _known(columns, names, source)
    wanted = [column_index(text, names, source) for text in columns.split(",")]
    twice = [names[j] for i, j in enumerate(wanted) if j in wanted[:i]]
    if twice:
        raise ValueError(f"{source}: column {twice[0]!r} is chosen twice.")
    return wanted


def _known(columns: list[str], names: list[str], source: object) -> list[int]:
    """Positions of the columns of expected names."""
    if all(name in names for name in columns):
        return [names.index(name) for name in columns]
    if names == _numbered(len(names)) and len(names) == len(columns):
        return list(range(len(names)))
    missing = [name for name in columns if name not in names]
    have = "no names" if names == _numbered(len(names)) else f"{', '.join(names)}"
    raise ValueError(
        f"{source}: {len(columns)} column{'s are' if len(columns) > 1 else ' is'} needed, "
        f"{', '.join(columns)}; "
        f"{missing[0]!r} is not among its {len(names)} ({have})."
    )


def _numbers(x: np.ndarray, names: list[str], columns: Columns, source: object) -> Table:
    wanted = positions(columns, names, source)
    rows = x[:, wanted].astype(np.float64)
    return _finite(rows, [names[j] for j in wanted], source, "row", np.arange(len(x)))


def _read_arrays(path: Path, columns: Columns) -> Table:
    """NPY, Parquet and Arrow files, and folders of them."""
    names, _ = describe(paths_of(path))
    chosen = positions(columns, names, path)
    pieces = [np.asarray(piece.data.x) for piece in open_rows(path, columns=chosen).pieces()]
    x = np.concatenate(pieces) if pieces else np.zeros((0, len(chosen)))
    return _numbers(x, [names[j] for j in chosen], None, path)


def _read_csv(path: Path, columns: Columns, header: bool | None) -> Table:
    lines, rows = _cells(path)
    if not rows:
        raise ValueError(f"{path}: the file is empty.")
    if _opens_with_names(path, rows) if header is None else header:
        names = [cell.strip() for cell in rows[0]]
        lines, rows = lines[1:], rows[1:]
        if not rows:
            raise ValueError(f"{path}: a header, but no rows.")
    else:
        names = _numbered(len(rows[0]))
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(names):
            raise ValueError(
                f"{path}, line {line}: {len(row)} cells where {len(names)} were expected."
            )
    wanted = positions(columns, names, path)
    chosen, names = [[row[j] for j in wanted] for row in rows], [names[j] for j in wanted]
    try:
        x = np.array(chosen).astype(np.float64)
    except ValueError:
        raise ValueError(_bad_cell(path, lines, chosen, names)) from None
    return _finite(x, names, path, "line", np.asarray(lines))


def _cells(path: Path) -> tuple[list[int], list[list[str]]]:
    """Line numbers (from 1) and the cells of every line that is not blank."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
        lines = (line.strip(" ") + "\n" for line in text.splitlines())
        reader = csv.reader(lines, delimiter=_delimiter(text), skipinitialspace=True)
        kept = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a readable text table ({error}).") from error
    return [line for line, _ in kept], [row for _, row in kept]


def _delimiter(text: str) -> str:
    """The most frequent of comma, semicolon and tab in the last line; a space if it has none."""
    last = text.rstrip().rsplit("\n", 1)[-1].strip()
    found = max(",;\t", key=last.count)
    return " " if found not in last and " " in last else found


def _opens_with_names(path: Path, rows: list[list[str]]) -> bool:
    """Whether the first line holds names: all words do, words only above words (a species) do not.
    ValueError for other mixtures of numbers and words."""
    number = [_is_number(cell) for cell in rows[0]]
    if all(number):
        return False
    below = [_is_number(cell) for cell in rows[1]] if len(rows) > 1 else number
    if not any(number):
        return True
    if number == below:
        return False
    raise ValueError(
        f"{path}, line 1: numbers and words are mixed ({', '.join(rows[0])}); "
        "say --header or --no-header."
    )


def _bad_cell(path: Path, lines: list[int], rows: list[list[str]], names: list[str]) -> str:
    for line, row in zip(lines, rows, strict=True):
        for name, cell in zip(names, row, strict=True):
            if not _is_number(cell):
                return f"{path}, line {line}, column {name!r}: {cell!r} is not a number."
    return f"{path}: holds a cell that is not a number."


def _finite(x: np.ndarray, names: list[str], source: object, unit: str, where: np.ndarray) -> Table:
    """The table, or a ValueError for the first NaN or infinity."""
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        i, j = bad[0]
        raise ValueError(
            f"{source}, {unit} {where[i]}, column {names[j]!r}: {x[i, j]} is not a finite number; "
            "drop or impute it."
        )
    return Table(x, names, unit, where)


def _numbered(d: int) -> list[str]:
    return [f"x{j}" for j in range(d)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
