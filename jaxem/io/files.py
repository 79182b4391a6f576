"""The file format, version 1: an archive of `jaxem.core.npz` whose header says what it holds.

`header.json` has "format" (1), "kind" ("model", "params", "fit" or "sweep"), "model" and "thing"
(`jaxem.io.encoding`), "facts" about them, "beside", the names of arrays that are there for other
programs alone, and "versions", what wrote it. NumPy reads the arrays: `np.load(path)["means"]`.
"""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxem.core import npz
from jaxem.core.version import __version__
from jaxem.io.classes import MODELS, PARAMS, known_classes
from jaxem.io.consistency import check_thing
from jaxem.io.encoding import decode, encode, names_in
from jaxem.io.metadata import check_facts
from jaxem.results.fit import Fit
from jaxem.results.sweep import Sweep

FORMAT = 1


@dataclass(frozen=True)
class File:
    """What a file holds, and what it says of itself."""

    kind: str  #: "model", "params", "fit" or "sweep"
    model: Any  #: None where it was saved without; a sweep has its own
    thing: Any  #: as it was saved
    facts: Mapping[str, Any] = field(default_factory=dict)  #: see `jaxem.io.metadata`
    versions: Mapping[str, str] = field(default_factory=dict)  #: of the programs that wrote it


def save(path: Any, thing: Any, *, columns: Iterable[str] | None = None, force: bool = False):
    """Write a fit, parameters, a sweep or a model to a file that `load` reads.

    `thing` is a `Sweep`, or a pair (model, fit) or (model, params), of any lane axes; a fit or
    parameters alone can be saved too, but only with their model can they predict. `columns` names
    the columns of the data, d of them. The file is NPZ with a JSON header, never a pickle, and is
    put in place in one step. FileExistsError for a file that exists, unless `force`; ValueError
    for what a file cannot hold, or parameters that are not the model's. A model whose rows are
    spread over devices is saved as one for a single device.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> jaxem.save("fits.npz", (model, fits), columns=["eruptions", "waiting"])
    >>> np.load("fits.npz")["means"].shape
    (8, 2, 2)
    """
    named = {} if columns is None else {"columns": [str(name) for name in columns]}
    write(path, thing, named, force=force)


def load(path: Any, families: Iterable[type] = ()) -> Any:
    """What `save` wrote, as it was given: leaves are NumPy arrays of the same bits and dtypes
    (float64 in any JAX mode), a pair comes back as a pair.

    Classes are looked up by name in jaxem's own table, never imported; `families` adds your own:
    families, their parameters and priors. Nothing in the file is executed. ValueError, naming the
    file, for one that is damaged, of a newer format, not of jaxem or not whole; FileNotFoundError
    where there is none.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> jaxem.save("fits.npz", (model, fits), force=True)
    >>> model, fits = jaxem.load("fits.npz")
    >>> fits
    Fit(8 fits, best log-likelihood -1130.26, ...)
    """
    file = read(path, families)
    return file.thing if file.model is None or file.kind == "model" else (file.model, file.thing)


def write(
    path: Any,
    thing: Any,
    facts: Mapping[str, Any],
    beside: Mapping[str, Any] | None = None,
    *,
    force: bool = False,
) -> None:
    """`save` with more to tell: facts about the thing, and arrays for other programs."""
    kind, model, thing = _sort(thing)
    arrays: dict[str, np.ndarray] = {}
    tree = {"model": encode(model, arrays, ("model",)), "thing": encode(thing, arrays)}
    extra = {name: np.asarray(value) for name, value in (beside or {}).items()}
    header = {
        "format": FORMAT, "kind": kind, **tree, "facts": dict(facts),
        "beside": sorted(extra), "versions": _versions(),
    }  # fmt: skip
    if set(extra) & set(arrays):
        raise ValueError(f"{min(set(extra) & set(arrays))} is the name of an array of the thing.")
    try:
        check_facts(facts, check_thing(kind, model, thing))
    except ValueError as error:
        raise ValueError(f"cannot be saved: {error}.") from error
    try:
        npz.write(path, header, {**arrays, **extra}, force)
    except FileExistsError:
        raise FileExistsError(
            f"{path} exists, and was left as it is: name another file, or say force."
        ) from None


def _sort(thing: Any) -> tuple[str, Any, Any]:
    """(kind, model, thing) of what `save` was given."""
    pair = type(thing) is tuple and len(thing) == 2 and isinstance(thing[0], MODELS)
    model, inner = thing if pair else (None, thing)
    if isinstance(inner, Fit):
        return "fit", model, inner
    if isinstance(inner, PARAMS):
        return "params", model, inner
    if isinstance(inner, Sweep) and not pair:
        return "sweep", None, inner
    if isinstance(inner, MODELS) and not pair:
        return "model", inner, None
    what = f"a pair of {' and '.join(type(one).__name__ for one in thing)}" if pair else ""
    raise ValueError(
        "save takes a sweep, a pair (model, fit) or (model, params), or one of these alone; got "
        f"{what or 'a ' + type(thing).__name__}."
    )


def _versions() -> dict[str, str]:
    return {
        "jaxem": __version__, "jax": jax.__version__, "numpy": np.__version__,
        "python": platform.python_version(),
    }  # fmt: skip


def read(path: Any, families: Iterable[type] = ()) -> File:
    """A file with what it says of itself; raises as `load` does."""
    table = known_classes(families)
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        return _read(path, table)
    except RecursionError:
        raise ValueError(f"{path} is not a jaxem file: nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be loaded: {error}.") from error


def _read(path: Any, table: Mapping[str, type]) -> File:
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
    kind, beside, versions = header["kind"], header["beside"], header["versions"]
    if kind not in ("model", "params", "fit", "sweep"):
        raise ValueError(f"it holds a {kind!r:.80}, which this jaxem does not know")
    sound = isinstance(beside, list) and isinstance(versions, dict)
    if not sound or not all(isinstance(one, str) for one in [*beside, *versions.values()]):
        raise ValueError("its header is not one that jaxem.save wrote")
    used = names_in([header["model"], header["thing"]])
    if sorted([*used, *beside]) != sorted(arrays):
        raise ValueError("its arrays are not those that its header names")
    model, thing = (decode(header[name], arrays, table) for name in ("model", "thing"))
    d = check_thing(kind, model, thing)
    check_facts(header["facts"], d)
    file = File(kind, model, thing, header["facts"], versions)
    return File("model", model, model, file.facts, versions) if kind == "model" else file
