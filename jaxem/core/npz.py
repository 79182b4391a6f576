"""NPZ files of one JSON header and named arrays: written atomically, checked when read.

A file is a zip archive of stored (never compressed) entries: `header.json`, and an NPY array of
plain numbers or text for each name. Reading checks the table of the archive before any entry, and
the declared size of an array against the bytes of its entry. Nothing is ever unpickled.
"""

import io
import json
import math
import os
import re
import secrets
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.types import JSON

HEADER = "header.json"

#: Longest header that is read, in bytes.
LONGEST = 1 << 26

#: Kinds of dtype that are stored: numbers, booleans and text, never objects.
KINDS = "fiubU"

_NAME = re.compile(r"\w+(\.\w+)*")

#: NumPy's readers of the header of an NPY array, by version of the format.
_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

#: Exceptions of the standard library for damaged archives and for files that are no archives;
#: `read` raises a ValueError instead.
_DAMAGE = (
    zipfile.BadZipFile,
    RuntimeError,  # zipfile's, on an unknown version or method, or an entry said to be encrypted
    EOFError,
    OverflowError,  # an offset beyond what a seek takes
    struct.error,
)


def write(
    path: str | PathLike[str], header: JSON, arrays: Mapping[str, ArrayLike], force: bool = True
) -> None:
    """Write header and arrays to a temporary file, then rename it to `path`.

    ValueError for an array that cannot be stored, and for a `path` that is no plain file;
    FileExistsError for a file that exists, unless `force`; OSError as the system raises it.
    """
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    text = json.dumps(header, allow_nan=False, ensure_ascii=True).encode()
    in_one_step(path, lambda file: _fill(file, text, stored), force)


def to_bytes(header: JSON, arrays: Mapping[str, ArrayLike]) -> bytes:
    """The bytes that `write` would write, for another process; ValueError as `write` raises it."""
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    file = io.BytesIO()
    _fill(file, json.dumps(header, allow_nan=False, ensure_ascii=True).encode(), stored)
    return file.getvalue()


def _fill(file: BinaryIO, text: bytes, stored: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(HEADER), text)
        for name, array in stored.items():
            # ZipInfo's fixed date: the same content is the same bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, (1, 0), allow_pickle=False)


def in_one_step(path: str | PathLike[str], fill: Callable[[BinaryIO], object], force: bool) -> None:
    """Make the file `path` by `fill(binary file)`; no reader ever sees an unfinished file."""
    path = Path(os.path.realpath(path))  # a link stays, its target is replaced
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a plain file; name another.")
    if path.exists() and not force:
        raise FileExistsError(
            f"{path} exists, and was left as it is: name another file, or give force=True."
        )
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(unfinished, "xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        _put(unfinished, path, force)
    finally:
        unfinished.unlink(missing_ok=True)


def _put(unfinished: Path, path: Path, force: bool) -> None:
    """Rename `unfinished` to `path`; without `force`, never over a file made in the meantime."""
    if not force:
        # Claims the name or raises FileExistsError; `os.replace` alone would overwrite.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.replace(unfinished, path)
    except OSError:
        if not force:
            path.unlink(missing_ok=True)  # the claim, still empty
        raise


def _storable(name: str, value: ArrayLike) -> np.ndarray:
    array = np.asarray(value, order="C")
    if array.dtype.kind not in KINDS or not _NAME.fullmatch(name):
        raise ValueError(f"{name}: an array of dtype {array.dtype} cannot be stored; convert it.")
    return array


def read(path: str | PathLike[str]) -> tuple[JSON, dict[str, np.ndarray]]:
    """The JSON header and the arrays of a file that `write` wrote.

    ValueError, with the reason, for any other file; OSError for a file that cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is not a plain file")
    with open(path, "rb") as raw:
        return _unfold(raw, os.fstat(raw.fileno()).st_size)


def from_bytes(data: bytes) -> tuple[JSON, dict[str, np.ndarray]]:
    """The header and arrays that `to_bytes` was given; ValueError as `read` raises it."""
    return _unfold(io.BytesIO(data), len(data))


def _unfold(raw: BinaryIO, size: int) -> tuple[JSON, dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(raw) as archive:
            entries = _entries(archive, size)
            header = _header(archive.read(entries.pop(HEADER)))
            arrays = {name[:-4]: _array(archive, info) for name, info in entries.items()}
        return header, arrays
    except _DAMAGE as error:
        what = str(error) or type(error).__name__
        raise ValueError(f"no archive, or damaged or cut short ({what}); get it afresh") from error


def _entries(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The entries of the archive by name; ValueError for entries that `write` would not make."""
    infos = archive.infolist()
    found = {info.filename: info for info in infos}
    if len(found) < len(infos):
        raise ValueError("two entries have the same name")
    if HEADER not in found:
        raise ValueError(f"it has no {HEADER}: another program wrote it")
    for name, info in found.items():
        if name != HEADER and not (name.endswith(".npy") and _NAME.fullmatch(name[:-4])):
            raise ValueError(f"an entry has the strange name {name!r:.80}")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise ValueError(f"entry {name} is compressed or encrypted")
        if info.file_size != info.compress_size:
            raise ValueError(f"entry {name} contradicts itself about its size")
    if sum(info.file_size for info in infos) > size:
        raise ValueError("its entries are larger than the file")
    if found[HEADER].file_size > LONGEST:
        raise ValueError(f"{HEADER} is longer than {LONGEST} bytes")
    return found


def _header(text: bytes) -> JSON:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} in {HEADER}")

    try:
        return json.loads(text.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError(f"{HEADER} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{HEADER} is not JSON: {error}") from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """The array of an entry; its declared shape and dtype must account for all bytes there."""
    with archive.open(info) as file:
        shape, dtype = _declared(file, info.filename)
        count = math.prod(shape)
        if count * dtype.itemsize != info.file_size - file.tell():
            raise ValueError(f"entry {info.filename} does not hold the {shape} that it declares")
        data = file.read()
    if count == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _declared(file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype in the header of an NPY array; ValueError unless it is plain, in C order."""
    try:
        reader = _READERS[np.lib.format.read_magic(file)]
    except (ValueError, KeyError):
        raise ValueError(f"entry {name} is not an NPY array") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy warns of headers that it has to repair
            shape, fortran, dtype = reader(file)
    except _DAMAGE:
        raise
    except Exception as error:  # NumPy parses the text as Python: SyntaxError, MemoryError, ...
        raise ValueError(f"entry {name} is not a plain array ({error})") from error
    if fortran or dtype.kind not in KINDS or not dtype.itemsize or min(shape, default=0) < 0:
        raise ValueError(f"entry {name} is not a plain array of numbers or text")
    return shape, dtype
