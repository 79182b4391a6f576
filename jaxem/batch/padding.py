"""Sizes that small problems share, so that a data set of another length, one start more or one
component more compile nothing.

Rows are padded at weight 0, lanes by lanes that never run, and latent values (components) by values
that are switched off. Each is done only where it costs little beside compiling (`SPARE`), so large
problems keep their sizes. Results are those of the problem as it is, to rounding.
"""

from dataclasses import dataclass

from jaxem.core.capabilities import offered
from jaxem.core.model_protocol import Initialised, Model, Paddable
from jaxem.core.types import Init
from jaxem.data.data import Data
from jaxem.data.ragged import EXPECTED

#: Responsibilities (rows × latent values × lanes × iterations) that padding may add: 15 ms on a CPU
#: core, a hundredth of what the programs of a call take to compile.
SPARE = 1 << 23

#: Responsibilities of a whole call up to which it takes less time in float64 at once than in
#: float32 with its programs and then in float64 with as many again.
SMALL = 1 << 24

#: Smallest sizes.
FEWEST_ROWS, FEWEST_LANES, FEWEST_VALUES = 512, 4, 4


@dataclass(frozen=True)
class Sizes:
    """Sizes of the programs of a call."""

    rows: int
    lanes: int
    values: int | None  # latent values; None where the model is not padded


def sizes_of(model: Model, data: Data, init: Init, lanes: int) -> Sizes:
    """The sizes in which to compute `lanes` fits of one data set on the host."""
    n, k = data.x.shape[0], _per_unit(model, data)
    named = isinstance(init, str) and offered(model, Initialised) is not None
    if data.mesh is not None or not (named or hasattr(init, "__dataclass_fields__")):
        return Sizes(n, lanes, None)
    values = None
    paddable = offered(model, Paddable)
    if paddable is not None and data.label is None and paddable.can_pad(init):
        values = _first([_power(paddable.size(), FEWEST_VALUES, 2), paddable.size()], n * lanes)
        k = values
    room = _first([_power(lanes, FEWEST_LANES, 4), lanes], n * k)
    rows = _first([_power(n, FEWEST_ROWS, 2), padded_length(n), n], k * room)
    return Sizes(rows, room, values)


def is_small(model: Model, data: Data, lanes: int) -> bool:
    """Whether the fits of a call take less time than compiling their programs."""
    return data.x.shape[0] * _per_unit(model, data) * lanes * EXPECTED <= SMALL


def padded_length(n: int) -> int:
    """The next of 512, 640, 768, 896, 1024, 1280, ...: data sets of similar length, such as the
    folds of a cross-validation, then share one compiled program."""
    size = FEWEST_ROWS
    while size < n:
        size += 1 << (size.bit_length() - 3)
    return size


def _per_unit(model: Model, data: Data) -> int:
    return model.cost(data.x.shape[-1], data.x.dtype).per_unit


def _first(sizes: list[int], each: int) -> int:
    """The first size, descending, that costs little more than the last, which is the size as it is;
    `each` responsibilities of a step for every one more."""
    return next(size for size in sizes if (size - sizes[-1]) * each * EXPECTED <= SPARE)


def _power(size: int, least: int, ratio: int) -> int:
    """The smallest least · ratio^j that is no less than the size."""
    while least < size:
        least *= ratio
    return least
