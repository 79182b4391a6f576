"""`model`: a decorator that makes a class a model, with defaults for the methods it leaves out.

A class of its own needs eight methods: `constraints`, `blank`, `cost`, `start`, `expect`, `m_step`,
`log_prob`, `sample`. The seven others of `jaxem.core.model_protocol.Model` follow from them, or
have one obvious form. A method of the class always goes first.
"""

from collections.abc import Callable
from typing import TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import broken, n_free, retract
from jaxem.core.model_protocol import Compute, Health, Model
from jaxem.core.status import Status
from jaxem.core.trees import pytree, static
from jaxem.core.types import Array, FitData, Params, PreparedData, Stats

T = TypeVar("T")


@pytree
class Rows:
    """Units as they are: what `prepare` returns by default, and `expect` reads.

    >>> rows = jaxem.Rows(jnp.ones((3, 2)), jnp.ones(3), jnp.asarray(3.0), jnp.asarray(0.0))
    >>> rows.x.shape, float(rows.weight)
    ((3, 2), 3.0)
    """

    x: Array  #: f[n, ..., d]
    w: Array  #: f[n], the weight of each unit
    weight: Array  #: f[], the total weight
    base: Array  #: f[], 0


def validate_settings(self: Model, d: int) -> None:
    """Nothing is wrong."""


def validate(self: Model, data: FitData) -> None:
    """ValueError for data that are not finite."""
    bad = ~np.isfinite(np.asarray(data.x)).reshape(len(data.x), -1).all(axis=1)
    if bad.any():
        raise ValueError(f"x must be finite; row {int(np.argmax(bad))} is not.")


def prepare(self: Model, data: FitData, rows: int, compute: Compute) -> Rows:
    """The units as they are: for data and expectations that fit into memory for all lanes of a
    bucket at once."""
    x = jnp.asarray(data.x)
    return Rows(x, data.weight, jnp.sum(data.weight), jnp.zeros((), x.dtype))


def log_prior(self: Model, params: Params) -> float:
    """No prior."""
    return 0.0


def retracted(self: Model, params: Params) -> Params:
    """Shares are divided by their sum."""
    return retract(self.constraints(), params)


def health(self: Model, params: Params, stats: Stats, prepared: PreparedData) -> Health:
    """SINGULAR where the parameters break a constraint."""
    bad = broken(self.constraints(), params)
    return Health(status=jnp.where(bad, int(Status.SINGULAR), int(Status.RUNNING)))


def n_parameters(self: Model, d: int) -> int:
    """The free numbers of the parameters under their constraints."""
    return n_free(self.constraints(), jax.eval_shape(lambda: self.blank(d, np.float32)))


DEFAULTS: dict[str, Callable] = dict(
    validate_settings=validate_settings, validate=validate, prepare=prepare, log_prior=log_prior,
    retract=retracted, health=health, n_parameters=n_parameters,
)  # fmt: skip


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def model(cls: type[T]) -> type[T]:
    """Decorator: `jaxem.pytree`, with default methods where the class has none (`DEFAULTS`).

    >>> @jaxem.model
    ... class Empty:
    ...     def constraints(self):
    ...         return {}
    >>> Empty().log_prior(None)
    0.0
    """
    for name, method in DEFAULTS.items():
        if not hasattr(cls, name):
            setattr(cls, name, method)
    return pytree(cls)
