"""Checks of output files before the long work starts; output as CSV and JSON."""

import csv
import dataclasses
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from jaxem.core import npz

#: A JSON document: what `print_json` takes.
Document = dict[str, object]


def check_folder(folder: Path, option: str) -> None:
    """ValueError unless files can be written into `folder`."""
    if not folder.is_dir():
        raise ValueError(f"{option}: the folder {folder} does not exist; make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{option}: the folder {folder} cannot be written to.")


def check_file(path: Path, option: str, force: bool = False) -> None:
    """ValueError unless a file can be written at `path`, and `force` is given where one exists."""
    if str(path) == "-":
        raise ValueError(f"{option}: standard output is no place for this; name a file.")
    check_folder(path.parent, option)
    if path.is_dir():
        raise ValueError(f"{option}: {path} is a folder; name a file.")
    if path.exists() and not force:
        raise ValueError(f"{option}: {path} exists; name another file, or say --force.")
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"{option}: {path} cannot be written to.")


def check_archive(path: Path, option: str = "--out", force: bool = False) -> None:
    """ValueError unless an archive can be written at `path`, and the name ends in .npz: a reader
    would take an archive named .csv for a table."""
    check_file(path, option, force)
    if path.suffix.lower() != ".npz":
        raise ValueError(f"{option}: {path} must end in .npz; jaxem predict writes labels as CSV.")


def check_picture(path: Path, option: str = "--plot", force: bool = False) -> None:
    """ValueError unless matplotlib is installed and can write a picture at `path`."""
    check_file(path, option, force)
    if not has_matplotlib():
        raise ValueError(f"{option} needs matplotlib: pip install 'jaxem[plot]'")
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lower().lstrip(".") not in known:
        raise ValueError(f"{option}: {path} must end in one of {', '.join(sorted(known))}.")


def has_matplotlib() -> bool:
    """Whether pictures can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def write_csv(
    path: Path | None, names: Sequence[str], parts: Iterable[Sequence[np.ndarray]], force: bool
) -> None:
    """Columns of equal length under their names, part after part, to a file in one step or to
    standard output.

    Numbers have all digits, so that they are read back exactly; integers have no point.
    """

    def fill(file: TextIO) -> None:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for columns in parts:
            writer.writerows(zip(*map(_cells, columns), strict=True))

    if path is None:
        fill(sys.stdout)
        return

    def encoded(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        fill(text)
        text.flush()
        text.detach()

    npz.in_one_step(path, encoded, force)


def _cells(column: np.ndarray) -> Iterable[str]:
    integers = column.dtype.kind in "iu" or bool((column == np.round(column)).all())
    if integers and np.abs(column).max(initial=0) < 2**53:
        return map(str, column.astype(np.int64).tolist())
    return map(str, column)


def print_json(document: Mapping[str, object]) -> None:
    """One JSON document on standard output, null for numbers that are not finite."""
    print(json.dumps(_plain(document), allow_nan=False, indent=2))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name))
                for field in dataclasses.fields(value)}  # fmt: skip
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "__array__"):
        return _plain(np.asarray(value).tolist())
    return value if value is None or isinstance(value, bool | int | str) else str(value)
