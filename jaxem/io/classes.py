"""The classes that a file may hold, by name. A file names them; it never says where to find them.

A new family, prior or result that should be saved is one more line here; a class of a caller is an
argument of `load`.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from jaxem import families
from jaxem.core.capabilities import members, provides
from jaxem.core.model_protocol import Model
from jaxem.core.protocols import Family
from jaxem.core.settings import Deprecated
from jaxem.families.gaussian import Diagonal, Full, GaussianFamily, Known, Spherical, Tied
from jaxem.families.gaussian.priors import NormalInverseGamma, NormalInverseWishart
from jaxem.families.gaussian.structure import Covariance
from jaxem.families.priors import Beta, Dirichlet, Gamma
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit
from jaxem.results.information_criteria import Criteria
from jaxem.results.report import Report
from jaxem.results.sweep import Row, Sweep

#: Classes of parameters; a model of a caller may have these too.
_PARAMS = (
    MixtureParams, families.GaussianParams, families.BinomialParams, families.PoissonParams,
    families.ExponentialParams, families.CategoricalParams,
)  # fmt: skip

_CLASSES = (
    *_PARAMS, Mixture, Deprecated, Fit, Report, Sweep, Row, Criteria,
    GaussianFamily, Full, Tied, Diagonal, Spherical, Known,
    families.Binomial, families.Poisson, families.Exponential, families.Categorical,
    NormalInverseWishart, NormalInverseGamma, Beta, Gamma, Dirichlet,
)  # fmt: skip

KNOWN: Mapping[str, type] = {cls.__name__: cls for cls in _CLASSES}


def known_classes(classes: Iterable[type]) -> dict[str, type]:
    """The table with the caller's classes; ValueError for a class that is no dataclass, or has the
    name of another class."""
    table = dict(KNOWN)
    for cls in classes:
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            raise ValueError(f"classes must be made by jaxem.pytree; got {cls!r}.")
        if table.setdefault(cls.__name__, cls) is not cls:
            raise ValueError(f"classes: {cls.__name__} is the name of {owner(cls)}; rename.")
    return table


def owner(cls: type) -> str:
    """Whose class has the name of this one already."""
    return "a class of jaxem" if cls.__name__ in KNOWN else "another of your classes"


def is_model(value: object) -> typing.TypeGuard[Model]:
    """Whether a value is a model, of this package or of a caller."""
    return dataclasses.is_dataclass(value) and all(hasattr(type(value), n) for n in members(Model))


def is_params(value: object) -> bool:
    """Whether a value may be parameters: of this package, or any class of a caller that is no
    model."""
    own = KNOWN.get(type(value).__name__) is type(value)
    foreign = dataclasses.is_dataclass(value) and not own and not is_model(value)
    return isinstance(value, _PARAMS) or foreign


def build(cls: type, fields: Mapping[str, object]) -> object:
    """A value of `cls`; ValueError for unknown fields, missing fields and fields of wrong type."""
    declared = {field.name: field for field in dataclasses.fields(cls)}
    hints = _hints(cls)
    for name, value in fields.items():
        if name not in declared:
            raise ValueError(f"{cls.__name__} has no field {name!r:.80}")
        if not matches(value, hints.get(name, object)):
            raise ValueError(f"{cls.__name__}.{name} cannot be a {type(value).__name__}")
    for name, field in declared.items():
        if name not in fields and field.default is field.default_factory:  # neither is given
            raise ValueError(f"{cls.__name__} lacks its field {name!r}")
    return cls(**fields)


@functools.cache
def _hints(cls: type) -> dict[str, object]:
    """Annotations of a class of the table; none for a class of the caller, which is not checked."""
    return typing.get_type_hints(cls) if KNOWN.get(cls.__name__) is cls else {}


_NUMBERS = {int: (int, np.integer), float: (int, float, np.integer, np.floating)}


def matches(value: object, hint: object) -> bool:
    """Whether a value has the type of an annotation; `jax.Array` accepts NumPy arrays."""
    if hint is typing.Any:
        return True
    origin = typing.get_origin(hint)
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
    return (isinstance(hint, type) and isinstance(value, hint)) or (
        foreign and hint in KNOWN.values()
    )
