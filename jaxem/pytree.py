"""Frozen dataclasses that are JAX pytrees: the only value type of the package."""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


def static(default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that is part of the program (hashable), not of its data."""
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata={"static": True})
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def pytree(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass registered with JAX; `static()` fields become aux data."""
    data_class: Any = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(data_class)
    meta = [f.name for f in fields if f.metadata.get("static", False)]
    leaves = [f.name for f in fields if f.name not in meta]
    return jax.tree_util.register_dataclass(data_class, data_fields=leaves, meta_fields=meta)


def replace(value: T, **changes: Any) -> T:
    """A copy of a frozen pytree with some fields changed."""
    return dataclasses.replace(value, **changes)  # type: ignore[type-var]
