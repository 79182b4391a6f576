"""Files that are too large for memory: read in blocks, by `jaxem.open_rows`."""

import re
from pathlib import Path

import numpy as np

import jaxem
from jaxem.batch.planning import memory
from jaxem.cli.tables import Columns, Table, column_index, positions
from jaxem.data.blocks import RowBlocks
from jaxem.data.row_files import ENDINGS, describe, paths_of

UNITS = {"": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def bytes_of(text: str | None) -> int | None:
    """The bytes of a text such as 300MB; None of None. ValueError for any other text."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", text, re.IGNORECASE)
    unit = found and found[2].upper()
    unit = f"{unit}B" if unit in ("K", "M", "G", "T") else "" if unit == "B" else unit
    if found is None or unit not in UNITS:
        raise ValueError(f"--memory-limit must be bytes, such as 300MB or 2GB; got {text!r}.")
    return int(float(found[1]) * UNITS[unit])


def in_blocks(
    source: str, columns: Columns, weight: str | None, limit: int | None
) -> tuple[RowBlocks, Table, int] | None:
    """The rows of a file or folder that takes more than `limit` bytes as numbers (None: more than
    jaxem may use), a table of its first rows, and the number of all rows; None for a smaller one
    and for other kinds of files, which are read as a whole."""
    path = Path(source)
    if not path.is_dir() and path.suffix.lower() not in ENDINGS:
        return None
    if not path.exists():
        return None
    names, n = describe(paths_of(source))
    if n * len(names) * 8 <= (memory() if limit is None else limit):
        return None
    chosen = positions(columns, names, source)
    apart = None
    if weight is not None:
        apart = column_index(weight, names, source)
        chosen = [j for j in chosen if j != apart]
        if not chosen:
            raise ValueError(f"{source}: no column is left beside the weights.")
    rows = jaxem.open_rows(source, columns=chosen, sample_weight=apart)
    first = next(iter(rows.pieces())).data
    head = Table(np.asarray(first.x), [names[j] for j in chosen], "row", np.arange(len(first.x)))
    return rows, head, n


def largest(rows: RowBlocks) -> np.ndarray:
    """The largest value of each column f[1, d], by one pass."""
    found = None
    for piece in rows.pieces():
        top = np.asarray(piece.data.x).max(axis=0)
        found = top if found is None else np.maximum(found, top)
    assert found is not None  # there is a first row
    return found[None]
