"""`Options`: the keywords of `fit` and `fit_many`, checked once, on the host."""

from collections.abc import Hashable
from dataclasses import dataclass
from dataclasses import replace as with_fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch.padding import Sizes, is_small
from jaxem.batch.problem import Resources
from jaxem.core.capabilities import check, offered
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
from jaxem.core.trees import replace
from jaxem.core.types import Init, PyTree, Stats
from jaxem.core.validation import integer
from jaxem.data.data import Data
from jaxem.devices.placement import Placement
from jaxem.engine.loop import check_control
from jaxem.engine.steps import Control
from jaxem.search.options import Search, search_of

#: Starts of `fit` by default.
DEFAULT_STARTS = 32


@dataclass(frozen=True)
class Options:
    """The arguments of `fit` or `fit_many` beside model and data."""

    key: jax.Array
    search: Search
    control: Control
    resources: Resources
    progress: bool | None = None


#: Models (their structure) and numbers of columns for which `check_statistics` has passed.
_SUMS: set[tuple[Hashable, tuple[int, ...], int]] = set()


def check_model(model: Model) -> None:
    """ValueError, naming the method, for a model that lacks one, has a capability in part, or has a
    name that looks like a misspelt one."""
    check(type(model), Model, CAPABILITIES)


def check_sums(model: Model, inner: tuple[int, ...], d: int) -> None:
    """`check_statistics`, once for every structure of a model and shape of a unit f[*inner, d]; not
    for rows of the package's own models, of which the tests know it."""
    known = jax.tree.structure(model), inner, d
    own = type(model).__module__.partition(".")[0] == __name__.partition(".")[0]
    if d and (inner or not own) and known not in _SUMS:
        check_statistics(model, inner, d)
        _SUMS.add(known)


def check_statistics(model: Model, inner: tuple[int, ...], d: int) -> None:
    """ValueError, naming the leaf, where the statistics of units f[*inner, d] are no sums over
    units, which shows in shapes that depend on the number of units. Nothing is compiled."""

    def shapes(n: int) -> list[tuple[tuple, jax.ShapeDtypeStruct]]:
        rows: PyTree = jax.ShapeDtypeStruct((n, *inner, d), np.float32)
        weight: PyTree = jax.ShapeDtypeStruct((n,), np.float32)
        data = Data(rows, weight)

        def statistics(data: Data) -> Stats:
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
    """The options of a call from its keywords `given`, which are read here and nowhere else.
    `labels`: whether the data have labels."""
    init, split_merge = given["init"], given["split_merge"]
    bound = labels or bool(getattr(model, "frozen", ()))
    proposing = None if bound else offered(model, Proposing)
    can = proposing is not None
    search = search_of(given["n_starts"], init, given["race"], split_merge, can)
    if search.split_merge and proposing is not None and not proposing.can_propose():
        search = with_fields(search, split_merge=0)
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


def with_sizes(options: Options, sizes: Sizes) -> Options:
    """The options with the lanes and latent values to compute, where the caller gave none."""
    given = options.resources
    values = sizes.values if given.pad_to is None else given.pad_to
    return with_fields(options, resources=with_fields(given, pad_to=values, room=sizes.lanes))


def quick_in_float64(model: Model, data: Data, options: Options) -> bool:
    """Whether to compute in float64 whatever the data: on a CPU, where the call is small and the
    caller asked for no kernel or precision."""
    asked, placement = options.resources.asked, options.resources.placement
    usual = asked.kernel is None and asked.precision is None
    return usual and placement.platform == "cpu" and is_small(model, data, options.search.n_starts)


def control_of(model: Model, asked: Settings, given: dict[str, Any]) -> Control:
    """The settings of all runs. accelerate="auto" means SQUAREM, the quickest in `python -m bench
    accelerators`. It means plain EM from a given start, whose path the caller may know, and for
    hard assignments, which end after a few steps."""
    init, accelerate, max_iter = given["init"], given["accelerate"], given["max_iter"]
    assignment = asked.assignment or "soft"
    if accelerate == "auto":
        random = isinstance(init, str) or callable(init)
        accelerate = "squarem" if random and assignment == "soft" else None
    kept = int(max_iter) if given.get("trace") and max_iter > 0 else 0
    control = Control(given["tol"], max_iter, True, given["stop"], accelerate, kept)
    control = replace(control, assignment=assignment, exponent=asked.exponent)
    return check_control(model, control)


def check_init(model: Model, init: Init) -> None:
    """ValueError for the name of an initialiser that does not exist, before any data are read."""
    initialised = offered(model, Initialised)
    if initialised is not None and (init is None or isinstance(init, str)):
        initialised.read_init(init, 0)


def check_pad(model: Model, init: Init, pad_to: int) -> None:
    """ValueError unless the model can be padded to this size from such starts."""
    paddable = offered(model, Paddable)
    if paddable is None:
        raise ValueError(f"pad_to needs a model with padded(): {type(model).__name__} has none.")
    size = paddable.size()
    integer("pad_to", pad_to, size)
    if pad_to != size and not paddable.can_pad(init):
        raise ValueError(
            "pad_to needs a model without priors or frozen parameters and an initialiser that "
            f"picks centres; got init={init!r}."
        )
