"""NPZ files of one JSON header and named arrays: written in one step, read with suspicion.

A file is a zip archive of stored (never compressed) entries: `header.json`, and an NPY array of
plain numbers or text for each name. Reading looks at the archive's own table before it reads an
entry, and believes no size that the stored bytes do not bear out. Nothing is ever unpickled.
"""

import io
import json
import os
import re
import secrets
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

HEADER = "header.json"

#: Bytes of the longest header that is read.
LONGEST = 1 << 26

#: Kinds of dtype that are stored: numbers, truth values and text, never objects.
KINDS = "fiubU"

_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")

#: The header of an NPY array as NumPy writes it, C order, one plain dtype.
_NPY = re.compile(
    r"\{'descr': '([<>|=][fiubU][1-9]\d{0,9})', 'fortran_order': False, "
    r"'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\), \} *\n"
)
_MAGIC = b"\x93NUMPY\x01\x00"

#: What the standard library raises on archives that are damaged or not archives; `read` turns it
#: into a ValueError that says so.
_DAMAGE = (
    zipfile.BadZipFile,
    RuntimeError,  # zipfile's, on an unknown version or method, or an entry said to be encrypted
    EOFError,
    OverflowError,  # an offset beyond what a seek takes
    struct.error,
)


def write(path: Any, header: Any, arrays: dict[str, Any], force: bool = True) -> None:
    """Write header and arrays beside `path`, then put the file in its place in one step.

    ValueError for an array that cannot be stored, or a `path` that is no plain file;
    FileExistsError for one that exists, unless `force`; OSError as the system raises it.
    """
    stored = {name: _storable(name, array) for name, array in arrays.items()}
    text = json.dumps(header, allow_nan=False, ensure_ascii=True).encode()
    in_one_step(path, lambda file: _fill(file, text, stored), force)


def to_bytes(header: Any, arrays: dict[str, Any]) -> bytes:
    """What `write` would write, for another process; ValueError as there."""
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


def in_one_step(path: Any, fill: Any, force: bool) -> None:
    """Make the file `path` by `fill(binary file)`: whole, or not at all."""
    path = Path(os.path.realpath(path))  # what a link points to is replaced, not the link
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a plain file; name another.")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists.")
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        _put(part, path, force)
    finally:
        part.unlink(missing_ok=True)


def _put(part: Path, path: Path, force: bool) -> None:
    """Move `part` to `path`; without `force` never onto a file made there in the meantime."""
    if not force:
        # Claims the name, or raises FileExistsError: replacing alone would overwrite.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        os.replace(part, path)
    except OSError:
        if not force:
            path.unlink(missing_ok=True)  # the claim, still empty
        raise


def _storable(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, order="C")
    if array.dtype.kind not in KINDS or not _NAME.fullmatch(name):
        raise ValueError(f"{name}: an array of dtype {array.dtype} cannot be stored; convert it.")
    return array


def read(path: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The JSON header and the arrays of a file that `write` wrote.

    ValueError says what is wrong with any other file; OSError where it cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is not a plain file")
    with open(path, "rb") as raw:
        return _unfold(raw, os.fstat(raw.fileno()).st_size)


def from_bytes(data: bytes) -> tuple[Any, dict[str, np.ndarray]]:
    """What `to_bytes` was given; ValueError as `read` raises it."""
    return _unfold(io.BytesIO(data), len(data))


def _unfold(raw: BinaryIO, size: int) -> tuple[Any, dict[str, np.ndarray]]:
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
    """The archive's table by name, once no entry of it can do harm."""
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


def _header(text: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} in {HEADER}")

    try:
        return json.loads(text.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise ValueError(f"{HEADER} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{HEADER} is not JSON: {error}") from error


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One entry, whose declared shape must account for exactly the bytes that are there."""
    with archive.open(info) as file:
        opening = file.read(len(_MAGIC) + 2)
        if opening[:-2] != _MAGIC:
            raise ValueError(f"entry {info.filename} is not an NPY array")
        length = int.from_bytes(opening[-2:], "little")
        match = _NPY.fullmatch(file.read(length).decode("latin1"))
        if match is None:
            raise ValueError(f"entry {info.filename} is not a plain array of numbers or text")
        try:
            dtype = np.dtype(match[1])
        except TypeError as error:
            raise ValueError(f"entry {info.filename}: {error}") from error
        shape = tuple(int(part) for part in match[2].split(",") if part.strip())
        count = 1
        for size in shape:
            count *= size
        if len(opening) + length + count * dtype.itemsize != info.file_size:
            raise ValueError(f"entry {info.filename} does not hold the {shape} that it declares")
        data = file.read()
    if count == 0:
        return np.empty(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape).copy()
