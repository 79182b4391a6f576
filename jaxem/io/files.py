"""The file format, version 1: an archive of `jaxem.core.npz` whose header describes it.

Keys of `header.json`: "format" (1); "kind" ("model", "params", "fit" or "sweep"); "model" and
"thing", the saved model and value (`jaxem.io.encoding`); "facts", the metadata
(`jaxem.io.metadata`); "beside", names of extra arrays for other programs; "versions" of the
programs that wrote the file. NumPy reads the arrays: `np.load(path)["means"]`.
"""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxem.core import npz
from jaxem.core.types import JSON
from jaxem.core.version import __version__
from jaxem.io.classes import is_model, is_params, known_classes
from jaxem.io.consistency import check_consistent
from jaxem.io.encoding import check_classes, decode, encode, names_in
from jaxem.io.metadata import check_metadata
from jaxem.results.fit import Fit
from jaxem.results.sweep import Sweep

FORMAT = 1


@dataclass(frozen=True)
class File:
    """A file that was read: its value and its metadata."""

    kind: str  #: "model", "params", "fit" or "sweep"
    model: Any  #: None where none was saved; the rows of a sweep have their own
    value: Any  #: the fit, parameters, sweep or model
    metadata: Mapping[str, JSON] = field(default_factory=dict)  #: see `jaxem.io.metadata`
    versions: Mapping[str, str] = field(default_factory=dict)  #: of the programs that wrote it


def save(
    path: str | PathLike[str],
    value: object,
    *,
    columns: Iterable[str] | None = None,
    force: bool = False,
) -> None:
    """Write a fit, parameters, a sweep or a model to a file that `load` reads.

    `value` is a `Sweep`, or a pair (model, fit) or (model, params), with any lane axes. A fit or
    parameters alone can be saved too, but predict only with their model. `columns` are the names
    of the d columns of the data. The file is NPZ with a JSON header, never a pickle, and replaces
    an older file in one step. FileExistsError for a file that exists, unless `force`. ValueError
    for values that a file cannot hold, and for parameters that do not fit the model. A model whose
    rows are spread over devices is saved as a model for a single device.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> jaxem.save("fits.npz", (model, fits), columns=["eruptions", "waiting"])
    >>> np.load("fits.npz")["means"].shape
    (8, 2, 2)
    """
    named = {} if columns is None else {"columns": [str(name) for name in columns]}
    write(path, value, named, force=force)


def load(
    path: str | PathLike[str], classes: Iterable[type] = (), families: Iterable[type] = ()
) -> Any:
    """The value that `save` was given: leaves are NumPy arrays of the same bits and dtypes (float64
    in any JAX mode), a pair comes back as a pair.

    Classes are looked up by name in jaxem's own table, never imported; `classes` adds your own
    models, families, parameters and priors (`families` is another name for it). Nothing in the file
    is executed. ValueError, with the name of the file, where the file is damaged, of a newer
    format, of another program, inconsistent, or holds a class that is not in the table;
    FileNotFoundError where there is none.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> jaxem.save("fits.npz", (model, fits), force=True)
    >>> model, fits = jaxem.load("fits.npz")
    >>> fits
    Fit(8 fits, best log-likelihood -1130.26, ...)
    """
    file = read(path, classes, families)
    pair = file.model is not None and file.kind != "model"
    value = file.value.of(file.model) if pair and isinstance(file.value, Fit) else file.value
    return (file.model, value) if pair else value


def write(
    path: str | PathLike[str],
    value: object,
    metadata: Mapping[str, JSON],
    extra_arrays: Mapping[str, object] | None = None,
    *,
    force: bool = False,
) -> None:
    """`save` with metadata, and with extra arrays for other programs."""
    kind, model, value = _sort(value)
    arrays, table = {}, known_classes(())
    tree = {"model": encode(model, arrays, table, ("model",))}
    tree["thing"] = encode(value, arrays, table)
    extra = {name: np.asarray(array) for name, array in (extra_arrays or {}).items()}
    header = {
        "format": FORMAT, "kind": kind, **tree, "facts": dict(metadata),
        "beside": sorted(extra), "versions": _versions(),
    }  # fmt: skip
    if set(extra) & set(arrays):
        raise ValueError(f"{min(set(extra) & set(arrays))} is the name of an array of the value.")
    try:
        check_metadata(metadata, check_consistent(kind, model, value))
    except ValueError as error:
        raise ValueError(f"cannot be saved: {error}.") from error
    npz.write(path, header, {**arrays, **extra}, force)


def _sort(value: object) -> tuple[str, object, object]:
    """(kind, model, value) of the argument of `save`."""
    pair = value if isinstance(value, tuple) and len(value) == 2 and is_model(value[0]) else None
    model, inner = pair or (None, value)
    if isinstance(inner, Fit):
        return "fit", model, inner
    if is_params(inner):
        return "params", model, inner
    if isinstance(inner, Sweep) and not pair:
        return "sweep", None, inner
    if is_model(inner) and not pair:
        return "model", inner, None
    what = f"a pair of {' and '.join(type(part).__name__ for part in pair)}" if pair else ""
    raise ValueError(
        "save takes a sweep, a pair (model, fit) or (model, params), or one of these alone; got "
        f"{what or 'a ' + type(value).__name__}."
    )


def _versions() -> dict[str, str]:
    return {
        "jaxem": __version__, "jax": jax.__version__, "numpy": np.__version__,
        "python": platform.python_version(),
    }  # fmt: skip


def read(
    path: str | PathLike[str], classes: Iterable[type] = (), families: Iterable[type] = ()
) -> File:
    """The value of a file with its metadata; raises as `load` does."""
    table = known_classes((*classes, *families))
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        return _read(path, table)
    except RecursionError:
        raise ValueError(f"{path} is not a jaxem file: nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded: {error}.") from error


def _read(path: str | PathLike[str], table: Mapping[str, type]) -> File:
    header, arrays = npz.read(path)
    if not isinstance(header, dict) or type(header.get("format")) is not int:
        raise ValueError("it is not a file that jaxem.save wrote")
    if header["format"] > FORMAT:
        raise ValueError(
            f"it was written by a newer jaxem (format {header['format']}; this jaxem "
            f"{__version__} reads up to {FORMAT}): update jaxem"
        )
    wanted = {"format", "kind", "model", "thing", "facts", "beside", "versions"}
    if header["format"] < 1 or set(header) != wanted:
        raise ValueError("it is not a file that jaxem.save wrote")
    kind, extra, versions = header["kind"], header["beside"], header["versions"]
    if kind not in ("model", "params", "fit", "sweep"):
        raise ValueError(f"it holds a {kind!r:.80}, which this jaxem does not know")
    typed = isinstance(extra, list) and isinstance(versions, dict)
    if not typed or not all(isinstance(text, str) for text in [*extra, *versions.values()]):
        raise ValueError("its header is not one that jaxem.save wrote")
    trees = [header["model"], header["thing"]]
    used = names_in(trees)
    if sorted([*used, *extra]) != sorted(arrays):
        raise ValueError("its arrays are not those that its header names")
    check_classes(trees, table)
    model, value = (decode(tree, arrays, table) for tree in trees)
    check_metadata(header["facts"], check_consistent(kind, model, value))
    return File(kind, model, model if kind == "model" else value, header["facts"], versions)
