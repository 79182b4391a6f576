"""Values as JSON and named arrays, and back.

null, true, false, numbers and text stand for themselves, a JSON list for a tuple. An object with
one of these keys stands for any other value:

    {"class": "Poisson", "fields": {..}}    a value of a class of the table
    {"array": "means"}                      the array of that name
    {"scalar": "status"}                    the one number of the array of that name
    {"float": "nan"}                        nan, inf or -inf
    {"list": [..]}                          a list
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from jaxem.io.classes import KNOWN, build
from jaxem.io.older import former, renewed
from jaxem.results.known_model import KnownModel

#: Levels left out of the names of arrays: "means" is handier than "fit.params.components.means".
_SILENT = {"fit", "params", "components", "sweep", "rows", "fits"}

_FLOATS = ("nan", "inf", "-inf")


def encode(value: object, arrays: dict[str, np.ndarray], path: tuple[str, ...] = ()) -> Any:
    """A value as JSON; its arrays are added to `arrays`. ValueError where a file cannot hold it."""
    if value is None or (isinstance(value, bool | int | str) and type(value) in (bool, int, str)):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, jax.sharding.Mesh):
        return None  # the placement of rows is no part of a model: it is loaded for one device
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        kind = "scalar" if isinstance(value, np.generic) else "array"
        return {kind: _keep(value, arrays, path)}
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        parts = [encode(part, arrays, (*path, str(i))) for i, part in enumerate(value)]
        return parts if type(value) is tuple else {"list": parts}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _encode_class(value, arrays, path)
    raise ValueError(
        f"{'.'.join(path) or 'this'} is a {type(value).__name__}, which a file cannot hold; it "
        "holds numbers, text, arrays, and jaxem's models, families, parameters and results."
    )


def _encode_class(value: Any, arrays: dict[str, np.ndarray], path: tuple[str, ...]) -> Any:
    name = type(value).__name__
    if KNOWN.get(name, type(value)) is not type(value):
        raise ValueError(f"your class {name} has the name of one of jaxem's: rename it to save it.")
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # The model of a fit is a part of the file of its own.
    fields = {key: part for key, part in fields.items() if not isinstance(part, KnownModel)}
    parts = {key: encode(part, arrays, (*path, key)) for key, part in fields.items()}
    return {"class": name, "fields": parts}


def _keep(value: Any, arrays: dict[str, np.ndarray], path: tuple[str, ...]) -> str:
    if isinstance(value, Tracer):
        raise ValueError("save needs values, and these are traced: call it outside of jit, vmap "
                         "and grad.")  # fmt: skip
    name = ".".join(part for part in path if part not in _SILENT)
    name = ".".join(path) if name in arrays or not name else name
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} has dtype {array.dtype}, which a file cannot hold; convert it.")
    arrays[name] = array
    return name


def decode(tree: Any, arrays: Mapping[str, np.ndarray], table: Mapping[str, type]) -> Any:
    """The value that `encode` was given; ValueError for JSON that `encode` does not make."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, list):
        return tuple(decode(part, arrays, table) for part in tree)
    match tree:
        case {"class": str(name), "fields": dict(fields)} if len(tree) == 2:
            parts = {key: decode(one, arrays, table) for key, one in fields.items()}
            old = None if name in table else former(name, parts)
            if old is not None:
                return old
            if name not in table:
                raise ValueError(
                    f"it holds a {name!r:.80}, which this jaxem does not know; if that is your own "
                    f"class, say families=[...] with it, else update jaxem"
                )
            return build(table[name], renewed(table[name], parts))
        case {"array": str(name)} if len(tree) == 1 and name in arrays:
            return arrays[name]
        case {"scalar": str(name)} if len(tree) == 1 and name in arrays and not arrays[name].ndim:
            return arrays[name][()]
        case {"float": str(text)} if len(tree) == 1 and text in _FLOATS:
            return float(text)
        case {"list": list(parts)} if len(tree) == 1:
            return [decode(part, arrays, table) for part in parts]
    raise ValueError(f"its header says {str(tree)!r:.80} where a value should stand")


def names_in(tree: Any) -> list[str]:
    """Names of the arrays to which JSON made by `encode` refers, in order."""
    if isinstance(tree, list):
        return [name for part in tree for name in names_in(part)]
    if not isinstance(tree, dict):
        return []
    for kind in ("array", "scalar"):
        if isinstance(tree.get(kind), str):
            return [tree[kind]]
    return [name for part in tree.values() for name in names_in(part)]
