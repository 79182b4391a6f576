"""`open_rows`: NPY, Parquet and Arrow files, folders of them, arrays and functions as rows that are
read in blocks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from jaxem.core.types import Rows
from jaxem.data.blocks import Piece, RowBlocks, from_array, from_callable, split

#: Files that are read, by their endings.
PARQUET, ARROW = (".parquet", ".pq"), (".arrow", ".feather", ".ipc")
ENDINGS = (".npy", *PARQUET, *ARROW)

#: From the names of all columns of a file to the numbers of those that are read.
Choose = Callable[[list[str]], list[int]]


def open_rows(
    source: Any,
    *,
    columns: list[str] | list[int] | None = None,
    sample_weight: str | int | None = None,
    labels: str | int | None = None,
) -> RowBlocks:
    """Rows that need not fit into memory, for `fit`, `em`, `criteria`, `sweep` and the methods of a
    `Fit`; they are read block by block, as often as there are iterations.

    - `source`: a file (.npy, .parquet, .pq, .arrow, .feather; the last four need pyarrow), a folder
      of such files, read in the order of their names, or a list of files; an array that gives rows
      by slices (`np.memmap`, Zarr, HDF5); or a function without arguments that returns an iterable
      of blocks f[m, d] or `Data`, the same at every call.
    - `columns`: the columns of x, by name or by number from 0 (None: all that are neither weights
      nor labels); `sample_weight` and `labels`: the columns that hold these.

    Raises ValueError, naming the file, for what cannot be read, and ValueError with file, block and
    row from `fit` and the others for rows that cannot be fitted.

    >>> x = datasets.load("old_faithful")
    >>> rows = jaxem.open_rows(lambda: np.array_split(x, 4))
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> jaxem.fit(model, rows, key=0, n_starts=8).best()
    Fit(CONVERGED after ... iterations, log-likelihood -1130.26)
    """
    chosen = [columns, sample_weight, labels]
    if isinstance(source, RowBlocks):
        return source
    if isinstance(source, str | PathLike) or _is_list_of_files(source):
        return _files(source, *chosen)
    if any(choice is not None for choice in chosen):
        raise ValueError("columns, sample_weight and labels choose columns of files: a function "
                         "gives jaxem.Data instead.")  # fmt: skip
    if callable(source):
        give: Callable[[], Any] = source
        return from_callable(give, getattr(source, "__name__", type(source).__name__))
    if hasattr(source, "shape") and hasattr(source, "__getitem__"):
        named = getattr(source, "filename", None)
        return from_array(source, str(named or type(source).__name__))
    if isinstance(source, Iterator):
        raise ValueError("an iterator can be read only once, and EM reads the rows again in every "
                         "iteration: give the function that makes it.")  # fmt: skip
    raise ValueError(f"rows come from files, arrays or a function; got {type(source).__name__}.")


def is_rows(x: Rows) -> bool:
    """Whether x are rows to be read in blocks: `RowBlocks`, the name of a file, or a function."""
    return isinstance(x, RowBlocks | str | PathLike) or (callable(x) and not hasattr(x, "shape"))


def _is_list_of_files(source: Any) -> bool:
    kind = isinstance(source, list | tuple) and len(source) > 0
    return kind and all(isinstance(one, str | PathLike) for one in source)


def _files(source: Any, columns: list | None, weight: Any, label: Any) -> RowBlocks:
    """The rows of one or several files, or of the files of a folder."""
    paths = paths_of(source)
    name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"

    def mark() -> str:
        stats = [path.stat() for path in paths]
        return str([(stat.st_size, stat.st_mtime_ns) for stat in stats])

    def read(rows: int) -> Iterator[Piece]:
        for path in paths:
            first = 0
            choose = partial(_choose, columns, weight, label, path)
            for number, table in enumerate(_reader(path)(path, rows, choose)):
                where = f"{path}, block {number} (from row {first})"
                data = split(table, weight is not None, label is not None, where)
                if len(data.x):
                    yield Piece(data, str(path), number, first)
                first += len(data.x)

    return RowBlocks(name, read, mark)


def paths_of(source: Any) -> list[Path]:
    """The files of a name, a folder or a list. ValueError where one does not exist or cannot be
    read in blocks."""
    paths = [Path(one) for one in ([source] if isinstance(source, str | PathLike) else source)]
    if len(paths) == 1 and paths[0].is_dir():
        paths = sorted(path for path in paths[0].iterdir() if path.suffix.lower() in ENDINGS)
        if not paths:
            raise ValueError(f"{source}: no file there ends in {', '.join(ENDINGS)}.")
    for path in paths:
        if path.suffix.lower() not in ENDINGS:
            raise ValueError(f"{path}: rows are read from files that end in {', '.join(ENDINGS)}.")
        if not path.is_file():
            raise ValueError(f"{path}: no such file.")
    return paths


def describe(paths: list[Path]) -> tuple[list[str], int]:
    """The names of the columns of the first file, and the number of rows of all."""
    names: list[str] = []
    n = 0
    for path in paths:
        ending = path.suffix.lower()
        if ending == ".npy":
            table = _mapped(path)
            found, rows = _numbered(table), len(table)
        elif ending in PARQUET:
            with _arrow_errors(path, "Parquet"):
                from pyarrow import parquet  # type: ignore[import-not-found]

                with parquet.ParquetFile(path) as file:
                    found, rows = file.schema_arrow.names, file.metadata.num_rows
        else:
            with _arrow_errors(path, "Arrow"):
                sizes = [(batch.schema.names, batch.num_rows) for batch in _batches(path)]
                found, rows = sizes[0][0] if sizes else [], sum(size for _, size in sizes)
        names, n = names or list(found), n + rows
    return names, n


def _choose(
    columns: list | None, weight: Any, label: Any, path: Path, names: list[str]
) -> list[int]:
    """The columns to read: x, then the weights and the labels, if any."""

    def find(column: str | int) -> int:
        if isinstance(column, str) and column in names:
            return names.index(column)
        if isinstance(column, int | np.integer) and 0 <= column < len(names):
            return int(column)
        known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise ValueError(f"{path}: no column {column!r} among its {len(names)} ({known}).")

    apart = [find(column) for column in (weight, label) if column is not None]
    kept = [j for j in range(len(names)) if j not in apart]
    return [*(kept if columns is None else map(find, columns)), *apart]


def _reader(path: Path) -> Callable[[Path, int, Choose], Iterator[np.ndarray]]:
    ending = path.suffix.lower()
    return _npy if ending == ".npy" else _parquet if ending in PARQUET else _arrow


def _mapped(path: Path) -> np.memmap:
    """The NPY file as a memory map, of which only the header is read here."""
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: not a readable NPY file ({error}).") from error
    if table.ndim not in (1, 2) or table.dtype.kind not in "fiub":
        raise ValueError(f"{path}: needs numbers of shape [n] or [n, d]; got {table.dtype} "
                         f"{table.shape}.")  # fmt: skip
    return table


def _numbered(table: np.ndarray) -> list[str]:
    return [f"x{j}" for j in range(1 if table.ndim == 1 else table.shape[1])]


def _npy(path: Path, rows: int, choose: Choose) -> Iterator[np.ndarray]:
    """Blocks of an NPY file, read, not mapped: mapped pages count as memory of the process."""
    table = _mapped(path)
    names, dtype, n = _numbered(table), table.dtype, len(table)
    chosen, d = choose(names), len(names)
    for first in range(0, n, rows):
        count = min(rows, n - first)
        if table.flags.c_contiguous:
            start = table.offset + first * d * dtype.itemsize
            block = np.fromfile(path, dtype, count * d, offset=start)
            if block.size < count * d:
                raise ValueError(f"{path}: ends in row {first + block.size // max(d, 1)} of {n}; "
                                 "it was cut while it was read.")  # fmt: skip
            block = block.reshape(count, d)
        else:
            block = np.array(table[first : first + count]).reshape(count, d)
        block = block if chosen == list(range(d)) else block[:, chosen]
        yield block.astype(dtype.newbyteorder("="), copy=False)


def _parquet(path: Path, rows: int, choose: Choose) -> Iterator[np.ndarray]:
    """Row groups of a Parquet file, of which only the chosen columns are read."""
    with _arrow_errors(path, "Parquet"):
        from pyarrow import parquet  # type: ignore[import-not-found]

        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            chosen = [names[j] for j in choose(names)]
            for batch in file.iter_batches(batch_size=rows, columns=list(dict.fromkeys(chosen))):
                yield _table(batch, chosen, path)


def _arrow(path: Path, rows: int, choose: Choose) -> Iterator[np.ndarray]:
    """Record batches of an Arrow file, in the format of files or of streams."""
    with _arrow_errors(path, "Arrow"):
        for batch in _batches(path):
            names = batch.schema.names
            chosen = [names[j] for j in choose(names)]
            for first in range(0, batch.num_rows, rows):
                yield _table(batch.slice(first, rows), chosen, path)


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow  # type: ignore[import-not-found]
    import pyarrow.ipc  # type: ignore[import-not-found]

    with pyarrow.OSFile(str(path)) as file:
        try:
            reader = pyarrow.ipc.open_file(file)
        except pyarrow.ArrowInvalid:
            file.seek(0)
            yield from pyarrow.ipc.open_stream(file)
        else:
            yield from map(reader.get_batch, range(reader.num_record_batches))


@contextmanager
def _arrow_errors(path: Path, kind: str) -> Iterator[None]:
    """Turn what pyarrow raises, and its absence, into a ValueError that names the file."""
    try:
        import pyarrow  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError(f"{path}: reading it needs pyarrow: pip install pyarrow.") from error
    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path}: not a readable {kind} file ({error}).") from error


def _table(batch: Any, names: list[str], path: Path) -> np.ndarray:
    """The named columns of a record batch side by side; an empty cell is NaN."""
    columns = []
    for name in names:
        column = batch.column(name)
        array = column.to_numpy(zero_copy_only=False)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{path}, column {name!r}: holds {column.type}, not numbers; choose "
                             "columns.")  # fmt: skip
        columns.append(array)
    return np.column_stack(columns)
