"""Capabilities: optional protocols of which a class has all members or none, and none misspelt.

A capability is a small `Protocol` class. A model or family provides it by having all of its
members. `provides` tells whether it does; `check` is called once, when a model is given to a public
function, so that later code may trust the answer.
"""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import TypeVar

T = TypeVar("T")


@cache
def members(protocol: type) -> frozenset[str]:
    """Public methods and attributes that a protocol class declares itself or inherits."""
    declared: set[str] = set()
    for base in protocol.__mro__:
        if getattr(base, "_is_protocol", False) and base.__module__ != "typing":
            declared |= {*vars(base), *vars(base).get("__annotations__", ())}
    return frozenset(name for name in declared if not name.startswith("_"))


@cache
def _public(kind: type) -> frozenset[str]:
    declared = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    return frozenset(name for name in {*dir(kind), *declared} if not name.startswith("_"))


@cache
def provides(kind: type, protocol: type) -> bool:
    """True where the class `kind` has every member of the protocol, False where it has none.

    Raises ValueError, naming the missing members, where it has some.
    """
    missing = members(protocol) - _public(kind)
    if missing == members(protocol):
        return False
    if missing:
        raise ValueError(
            f"{kind.__name__} provides {protocol.__name__} in part: it lacks "
            f"{', '.join(sorted(missing))}. Add what is missing, or remove "
            f"{', '.join(sorted(members(protocol) - missing))}."
        )
    return True


def offered(value: object, protocol: type[T]) -> T | None:
    """The value, typed as the protocol; None where its class does not provide it."""
    return value if provides(type(value), protocol) else None  # type: ignore[return-value]


def check(kind: type, required: type, optional: Iterable[type] = ()) -> None:
    """ValueError where the class `kind` lacks a member of the `required` protocol, provides one of
    the `optional` ones in part, or has a name that looks like a misspelt member of one."""
    _check(kind, required, tuple(optional))


@cache
def _check(kind: type, required: type, optional: tuple[type, ...]) -> None:
    known = members(required).union(*map(members, optional))
    absent = known - _public(kind)
    missing = members(required) & absent
    lacks = f"{kind.__name__} is no {required.__name__}: it lacks {', '.join(sorted(missing))}."
    if len(missing) > 2:  # another kind of object, not one with a misspelt name
        raise ValueError(lacks)
    for name in sorted(_public(kind) - known):
        for meant in get_close_matches(name, sorted(absent), n=1, cutoff=0.85):
            raise ValueError(
                f"{kind.__name__}.{name} is no member that jaxem knows; did you mean {meant}?"
            )
    if missing:
        raise ValueError(lacks)
    for protocol in optional:
        provides(kind, protocol)
