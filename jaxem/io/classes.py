"""The classes that a file may hold, by name. A file names them; it never says where to find them.

A new family, prior or result that should be saved is one more line here.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from jaxem.core.capabilities import provides
from jaxem.core.protocols import Family
from jaxem.core.settings import Deprecated
from jaxem.families import (
    Binomial,
    BinomialParams,
    Categorical,
    CategoricalParams,
    Exponential,
    ExponentialParams,
    GaussianParams,
    Poisson,
    PoissonParams,
)
from jaxem.families.gaussian import (
    Diagonal,
    Full,
    GaussianFamily,
    Known,
    Spherical,
    Tied,
)
from jaxem.families.gaussian.priors import NormalInverseGamma, NormalInverseWishart
from jaxem.families.gaussian.structure import Covariance
from jaxem.families.priors import Beta, Dirichlet, Gamma
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit
from jaxem.results.information_criteria import Criteria
from jaxem.results.report import Report
from jaxem.results.sweep import Row, Sweep

#: Classes of models and of their parameters.
MODELS = (Mixture,)
PARAMS = (MixtureParams,)

_CLASSES = (
    *MODELS, *PARAMS, Deprecated, Fit, Report, Sweep, Row, Criteria,
    GaussianFamily, Full, Tied, Diagonal, Spherical, Known, GaussianParams,
    Binomial, BinomialParams, Poisson, PoissonParams, Exponential, ExponentialParams,
    Categorical, CategoricalParams,
    NormalInverseWishart, NormalInverseGamma, Beta, Gamma, Dirichlet,
)  # fmt: skip

KNOWN: Mapping[str, type] = {cls.__name__: cls for cls in _CLASSES}


def known_classes(families: Iterable[type]) -> dict[str, type]:
    """The table with the caller's classes; ValueError for a class that is no frozen dataclass, or
    has the name of another class."""
    table = dict(KNOWN)
    for cls in families:
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            raise ValueError(f"families must hold classes made by jaxem.pytree; got {cls!r}.")
        if table.setdefault(cls.__name__, cls) is not cls:
            raise ValueError(f"families: {cls.__name__} is the name of a class of jaxem; rename.")
    return table


def build(cls: type, fields: Mapping[str, Any]) -> Any:
    """A value of `cls`; ValueError for unknown fields, missing fields and fields of wrong type."""
    declared = {field.name: field for field in dataclasses.fields(cls)}
    strange = [name for name in fields if name not in declared]
    if strange:
        raise ValueError(f"{cls.__name__} has no field {strange[0]!r:.80}")
    for name, field in declared.items():
        if name not in fields and field.default is dataclasses.MISSING:
            raise ValueError(f"{cls.__name__} lacks its field {name!r}")
    hints = _hints(cls)
    for name, value in fields.items():
        if not matches(value, hints.get(name, Any)):
            raise ValueError(f"{cls.__name__}.{name} cannot be a {type(value).__name__}")
    return cls(**fields)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Annotations of a class of the table; none for a class of the caller, which is not checked."""
    return typing.get_type_hints(cls) if KNOWN.get(cls.__name__) is cls else {}


_NUMBERS = {int: (int, np.integer), float: (int, float, np.integer, np.floating)}


def matches(value: Any, hint: Any) -> bool:
    """Whether a value has the type of an annotation; `jax.Array` accepts NumPy arrays."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(matches(value, part) for part in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(
            matches(item, typing.get_args(hint)[0]) for item in value
        )
    if hint is jax.Array:
        return isinstance(value, np.ndarray | np.generic)
    if hint in (Family, Covariance):
        return provides(type(value), hint)
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    # A caller's class may take the place of a class of jaxem: a prior, for example.
    foreign = dataclasses.is_dataclass(value) and KNOWN.get(type(value).__name__) is None
    return isinstance(value, hint) or (foreign and hint in KNOWN.values())
