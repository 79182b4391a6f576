"""Values as JSON and named arrays, and back.

null, true, false, numbers and text stand for themselves, a JSON list for a tuple. An object with
one of these keys stands for any other value:

    {"class": "Poisson", "fields": {..}}    a value of a class of the table, or of a caller
    {"array": "means"}                      the array of that name
    {"scalar": "status"}                    the one number of the array of that name
    {"float": "nan"}                        nan, inf or -inf
    {"list": [..]}                          a list
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax.core import Tracer

from jaxem.core.types import JSON
from jaxem.io.classes import build, owner
from jaxem.io.older import FORMER, former, renewed
from jaxem.results.known_model import KnownModel

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Levels left out of the names of arrays: "means" is handier than "fit.params.components.means".
_SILENT = {"fit", "params", "components", "sweep", "rows", "fits"}

_FLOATS = ("nan", "inf", "-inf")


def encode(
    value: object,
    arrays: dict[str, np.ndarray],
    table: dict[str, type],
    path: tuple[str, ...] = (),
) -> JSON:
    """A value as JSON; its arrays are added to `arrays`, its classes to `table`. ValueError where a
    file cannot hold it."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, jax.sharding.Mesh):
        return None  # the placement of rows is no part of a model: it is loaded for one device
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        kind = "scalar" if isinstance(value, np.generic) else "array"
        return {kind: _keep(value, arrays, path)}
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        parts = [encode(part, arrays, table, (*path, str(i))) for i, part in enumerate(value)]
        return parts if type(value) is tuple else {"list": parts}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _encode_class(value, arrays, table, path)
    raise ValueError(
        f"{'.'.join(path) or 'this'} is a {type(value).__name__}, which a file cannot hold; it "
        "holds numbers, text, arrays, tuples and lists, and dataclasses of these: jaxem's models, "
        "families, parameters and results, and classes of your own."
    )


def _encode_class(
    value: "DataclassInstance",
    arrays: dict[str, np.ndarray],
    table: dict[str, type],
    path: tuple[str, ...],
) -> JSON:
    cls = type(value)
    if table.setdefault(cls.__name__, cls) is not cls:
        raise ValueError(
            f"your class {cls.__name__} has the name of {owner(cls)}: rename it to save it."
        )
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # The model of a fit is a part of the file of its own.
    fields = {key: part for key, part in fields.items() if not isinstance(part, KnownModel)}
    parts = {key: encode(part, arrays, table, (*path, key)) for key, part in fields.items()}
    return {"class": cls.__name__, "fields": parts}


def _keep(value: object, arrays: dict[str, np.ndarray], path: tuple[str, ...]) -> str:
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


def decode(tree: JSON, arrays: Mapping[str, np.ndarray], table: Mapping[str, type]) -> object:
    """The value that `encode` was given; ValueError for JSON that `encode` does not make."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if isinstance(tree, list):
        return tuple(decode(part, arrays, table) for part in tree)
    match tree:
        case {"class": str(name), "fields": dict(fields)} if len(tree) == 2:
            parts = {key: decode(one, arrays, table) for key, one in fields.items()}
            if name not in table:
                return former(name, parts)
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


def check_classes(tree: JSON, table: Mapping[str, type]) -> None:
    """ValueError for JSON with classes that are not in the table: it says which to give."""
    named = [part["class"] for part in _objects(tree) if isinstance(part.get("class"), str)]
    unknown = [name for name in dict.fromkeys(named) if name not in table and name not in FORMER]
    if unknown:
        unknown = [f"{name:.80}" for name in unknown[:20]]
        given = ", ".join(name for name in unknown if name.isidentifier())
        raise ValueError(
            f"it holds a {' and a '.join(map(repr, unknown))}, which this jaxem does not know: if "
            f"they are your own, say load(path, classes=[{given}]), else update jaxem"
        )


def names_in(tree: JSON) -> list[str]:
    """Names of the arrays to which JSON made by `encode` refers, in order."""
    found = [part.get(kind) for part in _objects(tree) for kind in ("array", "scalar")]
    return [name for name in found if isinstance(name, str)]


def _objects(tree: JSON) -> Iterator[dict[str, JSON]]:
    """The objects in JSON made by `encode` that stand for values; the fields of one are none."""
    parts = tree if isinstance(tree, list) else ()
    if isinstance(tree, dict):
        yield tree
        fields = tree.get("fields")
        parts = (fields if isinstance(fields, dict) else tree).values()
    for part in parts:
        yield from _objects(part)
