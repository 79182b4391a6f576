"""Frozen dataclasses that are JAX pytrees: the values that go into compiled programs."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform

import jax

from jaxem.core.repr import constructor

T = TypeVar("T")


def static(default: object = dataclasses.MISSING) -> Any:
    """Declare a field that is part of the program (hashable), not of its data.

    >>> @jaxem.pytree
    ... class Power:
    ...     base: jax.Array
    ...     exponent: int = jaxem.static(default=2)
    >>> jax.tree.leaves(Power(3.0))
    [3.0]
    """
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata={"static": True})
    return dataclasses.field(default=default, metadata={"static": True})


def note(default: T) -> T:
    """Declare a field that is neither data nor part of the program: any value, never compared when
    JAX looks for a compiled program."""
    return dataclasses.field(default=default, compare=False, metadata={"note": True})


class _Note:
    """The value of a `note` field on its way through JAX.

    JAX compares the static parts of arguments to decide whether a compiled program fits. All notes
    compare equal, so a new note never causes a compilation. The price: a jitted function that
    returns its argument returns the note of the call that compiled it.
    """

    __slots__ = ("value",)

    def __init__(self, value: object):
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Note)

    def __hash__(self) -> int:
        return hash(_Note)


@dataclass_transform(frozen_default=True, field_specifiers=(static, note))
def pytree(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass registered with JAX; `static()` fields become aux data that
    JAX compares, `note()` fields aux data that it does not.

    >>> @jaxem.pytree
    ... class Line:
    ...     slope: jax.Array
    ...     intercept: jax.Array
    >>> jax.tree.map(lambda leaf: 2 * leaf, Line(1.0, 3.0))
    Line(slope=2, intercept=6)
    """
    if "__repr__" not in vars(cls):
        cls.__repr__ = constructor  # type: ignore[method-assign, assignment]
    data_class = dataclasses.dataclass(frozen=True)(cls)
    assert dataclasses.is_dataclass(data_class)
    fields = dataclasses.fields(data_class)
    meta = tuple(f.name for f in fields if f.metadata.get("static", False))
    notes = tuple(f.name for f in fields if f.metadata.get("note", False))
    leaves = tuple(f.name for f in fields if f.name not in meta + notes)

    def flatten(value: T) -> tuple[tuple, tuple]:
        aux = *(getattr(value, n) for n in meta), *(_Note(getattr(value, n)) for n in notes)
        return tuple(getattr(value, n) for n in leaves), aux

    def flatten_with_keys(value: T) -> tuple[tuple, tuple]:
        children, aux = flatten(value)
        keys = (jax.tree_util.GetAttrKey(n) for n in leaves)
        return tuple(zip(keys, children, strict=True)), aux

    def unflatten(aux: Iterable, children: Iterable) -> T:
        plain = (entry.value if isinstance(entry, _Note) else entry for entry in aux)
        return data_class(**dict(zip(meta + notes + leaves, (*plain, *children), strict=True)))

    # Not `register_dataclass`: in jaxlib 0.10 structures of two such classes with equal fields
    # compare equal, so that `jit` may run the program of another class.
    jax.tree_util.register_pytree_with_keys(data_class, flatten_with_keys, unflatten, flatten)
    return data_class


def replace(value: T, **changes: object) -> T:
    """A copy of a frozen pytree with some fields changed."""
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]
