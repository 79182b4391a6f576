"""Settings of a call: how a fit computes and assigns; and the deprecated settings of a model.

Until the next release `Mixture(kernel=, precision=, mesh=, assignment=, exponent=)` still works:
the model carries these settings as `Deprecated`, and every public function reads them there.
"""

import warnings
from dataclasses import dataclass
from typing import Any, TypeVar

from jax.sharding import Mesh

from jaxem.core.trees import pytree, replace, static
from jaxem.core.types import FitData, Number
from jaxem.core.validation import positive

M = TypeVar("M")


@dataclass(frozen=True)
class Settings:
    """Settings that a caller gave; None stands for the default."""

    kernel: str | None = None
    precision: str | None = None
    assignment: str | None = None
    exponent: Number | None = None  # f[]


DEFAULT_SETTINGS = Settings()


@pytree
class Deprecated:
    """Settings given to a model, from before they were arguments of the public functions."""

    exponent: Number | None = None
    kernel: str | None = static(default=None)
    precision: str | None = static(default=None)
    assignment: str | None = static(default=None)
    mesh: Mesh | None = static(default=None)

    @classmethod
    def of(cls, **given: Any) -> "Deprecated | None":
        """The settings that are not None, with a FutureWarning; None where all of them are None."""
        given = {name: value for name, value in given.items() if value is not None}
        if not given:
            return None
        names = " and ".join(f"{name}=" for name in given)
        others = " and ".join(f"{name}=" for name in given if name != "mesh")
        where = [f"give {others} to jaxem.fit, fit_many or em"] if others else []
        where += ["spread the rows by jaxem.shard_rows(x)"] if "mesh" in given else []
        warnings.warn(
            f"{names} of a Mixture is deprecated and will go with the next release: how to compute "
            f"is not what is modelled. Instead {', and '.join(where)}.",
            FutureWarning,
            stacklevel=5,
        )
        return cls(**given)

    def check(self) -> None:
        """ValueError for a setting that does not exist."""
        if self.assignment not in (None, "soft", "hard"):
            raise ValueError(f"assignment must be 'soft' or 'hard'; got {self.assignment!r}.")
        for name in ("kernel", "precision"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name} must be a name; got {getattr(self, name)!r}.")
        if self.exponent is not None:
            positive("exponent", self.exponent)

    def merged(self, other: "Deprecated | None") -> "Deprecated":
        """These settings, and those of `other` where they are None."""
        if other is None:
            return self
        missing = {n: v for n, v in vars(other).items() if getattr(self, n) is None}
        return replace(self, **missing)


def settings_of(model: M, asked: Settings, data: FitData) -> tuple[M, Settings, FitData]:
    """Model, settings and data. The model's deprecated settings move into the settings and data
    wherever the caller gave none."""
    old = getattr(model, "deprecated", None)
    if old is None:
        return model, asked, data
    known = {
        name: getattr(old, name) if value is None else value for name, value in vars(asked).items()
    }
    if old.mesh is not None and data.mesh is None:
        data = replace(data, mesh=old.mesh)
    return replace(model, deprecated=None), Settings(**known), data
