"""The flat keywords of the doors, folded into records and judged once, on the host."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch.problem import Resources
from jaxem.core.capabilities import check, provides
from jaxem.core.model_protocol import (
    BLOCK_ROWS,
    CAPABILITIES,
    DEFAULT_COMPUTE,
    Initialised,
    Model,
    Paddable,
    Proposing,
)
from jaxem.core.settings import Settings
from jaxem.core.validation import integer
from jaxem.data.data import Data
from jaxem.devices.placement import Placement
from jaxem.engine.loop import check_control
from jaxem.engine.steps import Control
from jaxem.search.options import Search, search_of

#: Starts of `fit`, where nobody says otherwise.
DEFAULT_STARTS = 32


@dataclass(frozen=True)
class Options:
    """What a call of `fit` or `fit_many` asks for beside its model and data."""

    key: Any
    search: Search
    control: Control
    resources: Resources
    progress: bool | None = None


#: Structures of models, and columns, whose statistics were seen to be sums.
_SUMS: set[Any] = set()


def check_model(model: Model) -> None:
    """ValueError, naming the method, for a model that lacks one, has a capability in part, or has a
    name that looks like a misspelt one."""
    check(type(model), Model, CAPABILITIES)


def check_sums(model: Model, d: int) -> None:
    """ValueError for a model whose statistics of d columns do not add up; judged once."""
    known = jax.tree.structure(model), d
    if d and known not in _SUMS:
        check_statistics(model, d)
        _SUMS.add(known)


def check_statistics(model: Model, d: int) -> None:
    """ValueError, naming the leaf, where the model's statistics are no sums over units: where their
    shapes depend on how many there are. Nothing is compiled."""

    def shapes(n: int) -> Any:
        rows: Any = jax.ShapeDtypeStruct((n, d), np.float32)
        weight: Any = jax.ShapeDtypeStruct((n,), np.float32)
        data = Data(rows, weight)

        def statistics(data: Data) -> Any:
            prepared = model.prepare(data, BLOCK_ROWS, DEFAULT_COMPUTE)
            return model.expect(model.blank(d, np.float32), prepared, jnp.zeros((), np.float32))[0]

        return jax.tree_util.tree_leaves_with_path(jax.eval_shape(statistics, data))

    for (path, few), (_, many) in zip(shapes(3), shapes(5), strict=True):
        if few.shape != many.shape:
            raise ValueError(
                f"{type(model).__name__} is no Model: its statistics{jax.tree_util.keystr(path)} "
                f"have shape {few.shape} for 3 units and {many.shape} for 5; they must be sums "
                "over units, of one shape."
            )


def options_of(
    model: Model, placement: Placement, asked: Settings, given: dict[str, Any], labels: bool
) -> Options:
    """The options of a call from its keywords, which are read once, here."""
    init, split_merge = given["init"], given["split_merge"]
    bound = labels or bool(getattr(model, "frozen", ()))
    can = provides(type(model), Proposing) and not bound
    search = search_of(given["n_starts"], init, given["race"], split_merge, can)
    if split_merge and not model.can_propose():
        search = Search(search.n_starts, init, search.race, 0)
    check_init(model, init)
    pad_to = given.get("pad_to")
    if pad_to is not None:
        check_pad(model, init, pad_to)
    return Options(
        given["key"],
        search,
        control_of(model, asked, given),
        Resources(given["memory_limit"], placement, asked, pad_to),
        given["progress"],
    )


def control_of(model: Model, asked: Settings, given: dict[str, Any]) -> Control:
    """The settings of all runs. accelerate="auto" means SQUAREM, which wins `python -m bench
    accelerators`, but plain EM from a given start, whose path the caller may know, and for hard
    assignments, which end after a few steps."""
    init, accelerate, max_iter = given["init"], given["accelerate"], given["max_iter"]
    assignment = asked.assignment or "soft"
    if accelerate == "auto":
        random = isinstance(init, str) or callable(init)
        accelerate = "squarem" if random and assignment == "soft" else None
    kept = int(max_iter) if given.get("trace") and max_iter > 0 else 0
    ends = given["tol"], max_iter, True, given["stop"]
    how = dict(assignment=assignment, exponent=asked.exponent)
    return check_control(model, Control(*ends, accelerate, kept, **how))


def check_init(model: Model, init: Any) -> None:
    """ValueError for the name of an initialiser that does not exist, before data are looked at."""
    named = init is None or isinstance(init, str)
    if named and provides(type(model), Initialised):
        model.read_init(init, 0)


def check_pad(model: Model, init: Any, pad_to: int) -> None:
    """ValueError unless the model can be padded to this size from such starts."""
    if not provides(type(model), Paddable):
        raise ValueError(f"pad_to needs a model with padded(): {type(model).__name__} has none.")
    own = model.size()
    integer("pad_to", pad_to, own)
    if pad_to != own and (not isinstance(init, str) or init == "random"):
        raise ValueError(f"pad_to needs an initialiser that picks centres; got init={init!r}.")
