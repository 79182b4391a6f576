"""`RowBlocks`: rows that are not in memory, read block by block, anew for every pass.

A pass gives the same rows in the same order as every other. What is read is checked here for its
shape and dtype, and by `jaxem.stream.survey` for its values, once.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import current_thread
from typing import NamedTuple, TypeVar

import numpy as np

from jaxem.core.types import DType
from jaxem.data.data import Data
from jaxem.data.validate import check_weights, host_data

T = TypeVar("T")

#: Rows that a file is read by where nobody asks for another number, as for predictions.
ROWS = 1 << 16

#: Name of the thread that reads ahead.
READER = "jaxem-reader"

#: Data without rows: of a problem between two passes.
NO_ROWS = Data(np.zeros((0, 1)), np.zeros(0))


class Piece(NamedTuple):
    """Neighbouring rows as a source gives them, and where they stand."""

    data: Data  # on the host, x f[m, d]
    source: str  # the file, or the name of the callable
    number: int  # of the piece in its source, from 0
    first: int  # number in its source of the first row

    def located(self, row: int | None = None) -> str:
        """Where the rows stand, for a message."""
        at = f"rows {self.first} to {self.first + len(self.data.x) - 1}"
        if row is not None:
            at = f"row {self.first + row}"
        return f"{self.source}, block {self.number}, {at}"


@dataclass(frozen=True)
class RowBlocks:
    """Rows f[n, d] that are read in blocks, as `jaxem.open_rows` makes them.

    >>> x = datasets.load("old_faithful")
    >>> rows = jaxem.open_rows(lambda: iter([x[:100], x[100:]]))
    >>> [len(piece.data.x) for piece in rows.pieces()]
    [100, 172]
    """

    name: str  #: what messages call it
    read: Callable[[int], Iterable[Piece]]  #: a new pass, in pieces of about so many rows
    mark: Callable[[], str] = str  #: a text that changes when the source does

    def pieces(self, rows: int = ROWS) -> Iterator[Piece]:
        """One pass. ValueError, naming the place, for a piece whose columns or dtype are not those
        of the first."""
        kind = None
        for piece in self.read(rows):
            x = piece.data.x
            this = x.shape[1:], x.dtype, piece.data.label is not None
            kind = kind or this
            if this != kind:
                raise ValueError(
                    f"{piece.located()}: holds {_told(this)}, and the first block {_told(kind)}. "
                    "All blocks need the same columns and one dtype."
                )
            yield piece

    def blocks(self, rows: int) -> Iterator[Data]:
        """One pass in blocks of exactly `rows` rows; the last may be shorter."""
        kept: list[Data] = []
        for piece in self.pieces(rows):
            kept.append(piece.data)
            while sum(len(data.x) for data in kept) >= rows:
                whole = joined(kept)
                yield cut(whole, 0, rows)
                rest = cut(whole, rows, len(whole.x))
                kept = [rest] if len(rest.x) else []
        if kept:
            yield joined(kept)


def _told(kind: tuple) -> str:
    shape, dtype, labelled = kind
    return f"{dtype} rows of shape {list(shape)}{' with labels' if labelled else ''}"


def joined(parts: list[Data]) -> Data:
    """The rows of all parts."""
    if len(parts) == 1:
        return parts[0]
    label = None
    if parts[0].label is not None:
        label = np.concatenate([np.asarray(part.label) for part in parts])
    x = np.concatenate([part.x for part in parts])
    return Data(x, np.concatenate([part.weight for part in parts]), label)


def cut(data: Data, first: int, last: int) -> Data:
    """Rows `first` to `last` - 1."""
    label = None if data.label is None else data.label[first:last]
    return Data(data.x[first:last], data.weight[first:last], label)


def padded(data: Data, rows: int, dtype: DType) -> Data:
    """The block with `rows` rows: copies of its first row at weight 0 where it is shorter."""
    missing = rows - len(data.x)
    x, weight = np.asarray(data.x, dtype), np.asarray(data.weight, dtype)
    label = None if data.label is None else np.asarray(data.label, np.int32)
    if missing:
        x = np.concatenate([x, np.broadcast_to(x[:1], (missing, *x.shape[1:]))])
        weight = np.pad(weight, (0, missing))
        label = None if label is None else np.pad(label, (0, missing), constant_values=-1)
    return Data(x, weight, label)


@cache
def _reader() -> ThreadPoolExecutor:
    """The thread that reads ahead. One for all passes: every new thread gets a heap of its own from
    the C library, and keeps it."""
    return ThreadPoolExecutor(1, thread_name_prefix=READER)


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, each made by another thread while the one before is in use."""
    if current_thread().name.startswith(READER):  # rows that are made from rows: do not wait
        yield from items
        return
    end = object()
    coming = _reader().submit(next, items, end)
    while (item := coming.result()) is not end:
        coming = _reader().submit(next, items, end)
        yield item  # type: ignore[misc]


def from_callable(give: Callable[[], Iterable], name: str) -> RowBlocks:
    """The rows of a function that starts a pass: it returns an iterable of blocks f[m, d], or of
    `Data`."""

    def read(rows: int) -> Iterator[Piece]:
        first = 0
        for number, block in enumerate(give()):
            try:
                data = host_data(block)
            except ValueError as error:
                raise ValueError(f"{name}, block {number} (from row {first}): {error}") from None
            if len(data.x):
                yield Piece(data, name, number, first)
            first += len(data.x)

    return RowBlocks(name, read)


def from_array(x: object, name: str) -> RowBlocks:
    """The rows of anything with a shape that gives rows by slices, such as a memory map, a Zarr
    array or an HDF5 data set."""
    length = len(x)  # type: ignore[arg-type]

    def give() -> Iterator[np.ndarray]:
        for i in range(0, length, ROWS):
            yield np.array(x[i : i + ROWS])  # type: ignore[index]

    return from_callable(give, name)


def split(table: np.ndarray, weighted: bool, labelled: bool, where: str) -> Data:
    """`Data` of a table whose last columns hold the weights and the labels, if any. ValueError,
    naming the row, for bad weights."""
    d = table.shape[1] - weighted - labelled
    weight = np.ones(len(table))
    if weighted:
        weight = table[:, d].astype(float)
        try:
            check_weights(weight)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    label = table[:, -1] if labelled else None
    x = np.ascontiguousarray(table[:, :d])
    return Data(x if x.dtype.kind == "f" else x.astype(np.float64), weight, label)
