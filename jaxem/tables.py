"""Tables from files: bundled data sets, CSV with or without a header, and NPY."""

import csv
from pathlib import Path

import numpy as np

from jaxem import datasets


def read_table(source: str) -> tuple[np.ndarray, list[str]]:
    """Rows f64[n, d] and column names; ValueError names the file, line and column of a bad cell."""
    if source in datasets.names():
        return datasets.load(source), datasets.columns(source)
    path = Path(source)
    if not path.is_file():
        known = ", ".join(datasets.names())
        raise ValueError(f"{source}: no such file, and not a bundled data set ({known}).")
    if path.suffix == ".npy":
        x = np.load(path, allow_pickle=False)
        x = x[:, None] if x.ndim == 1 else x
        if x.ndim != 2 or x.dtype.kind not in "fiu":
            raise ValueError(f"{source}: needs numbers of shape [n, d]; got {x.dtype} {x.shape}.")
        return x.astype(np.float64), [f"x{j}" for j in range(x.shape[1])]
    return _read_csv(path)


def _read_csv(path: Path) -> tuple[np.ndarray, list[str]]:
    with open(path, newline="") as file:
        lines = [(i, row) for i, row in enumerate(csv.reader(file), 1) if any(map(str.strip, row))]
    if not lines:
        raise ValueError(f"{path}: the file is empty.")
    first = lines[0][1]
    header = any(_number(cell) is None for cell in first)
    names = [cell.strip() for cell in first] if header else [f"x{j}" for j in range(len(first))]
    body = lines[1:] if header else lines
    if not body:
        raise ValueError(f"{path}: a header, but no rows.")
    return np.array([_row(path, line, row, names) for line, row in body]), names


def _row(path: Path, line: int, row: list[str], names: list[str]) -> list[float]:
    if len(row) != len(names):
        raise ValueError(f"{path}, line {line}: {len(row)} cells where {len(names)} were expected.")
    values = []
    for name, cell in zip(names, row, strict=True):
        value = _number(cell)
        if value is None or not np.isfinite(value):
            raise ValueError(f"{path}, line {line}, column {name!r}: {cell!r} is not a number.")
        values.append(value)
    return values


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
