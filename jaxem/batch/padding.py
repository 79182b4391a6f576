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
from jaxem.data.ragged import EXPECTED, FEWEST_ROWS, FEWEST_VALUES, padded_length

#: Responsibilities (rows × latent values × lanes × iterations) that padding may add: 15 ms on a CPU
#: core, a hundredth of what the programs of a call take to compile.
SPARE = 1 << 23

#: Responsibilities of a whole call up to which it takes less time in float64 at once than in
#: float32 with its programs and then in float64 with as many again.
SMALL = 1 << 24

#: Products of an E-step (rows × latent values × features × lanes) up to which a program is brief.
BRIEF = 1 << 19

#: Smallest sizes.
FEWEST_LANES, FEWEST_SETS = 4, 4

#: Data sets up to which their number is padded to a power of two; beyond, to one of eight numbers
#: in each octave.
MANY_SETS = 512


@dataclass(frozen=True)
class Sizes:
    """Sizes of the programs of a call."""

    rows: int
    lanes: int  # of one data set
    values: int | None  # latent values; None where the model is not padded
    sets: int = 1  # data sets with rows of their own


def sizes_of(model: Model, data: Data, init: Init, lanes: int) -> Sizes:
    """The sizes in which to compute `lanes` fits of one data set on the host."""
    n = data.x.shape[0]
    if data.mesh is not None or not (
        _is_drawn(model, init) or hasattr(init, "__dataclass_fields__")
    ):
        return Sizes(n, lanes, None)
    values, k = _values(model, data, init, n * lanes)
    room = _first([_power(lanes, FEWEST_LANES, 4), lanes], n * k)
    rows = _first([_power(n, FEWEST_ROWS, 2), padded_length(n), n], k * room)
    return Sizes(rows, room, values)


def sizes_of_many(model: Model, sets: list[Data], length: int, init: Init, lanes: int) -> Sizes:
    """The sizes in which to compute `lanes` fits of each data set, which have rows of their own, up
    to `length`. Data sets are padded by copies of one, whose lanes do not exist."""
    count = len(sets)
    if not _is_drawn(model, init):
        return Sizes(length, lanes, None, count)
    values, k = _values(model, sets[0], init, length * lanes * count)
    room = _first([_power(lanes, FEWEST_LANES, 4), lanes], length * k * count)
    rows = _first([_power(length, FEWEST_ROWS, 2), length], k * room * count)
    few = _power(count, FEWEST_SETS, 2)
    return Sizes(rows, room, values, few if few <= MANY_SETS else padded_length(count))


def _is_drawn(model: Model, init: Init) -> bool:
    """Whether starts are drawn by an initialiser, given by its name."""
    return isinstance(init, str) and offered(model, Initialised) is not None


def _values(model: Model, data: Data, init: Init, each: int) -> tuple[int | None, int]:
    """The latent values to compute (None: those of the model), and the numbers per unit; `each`
    responsibilities of a step for every value."""
    paddable = offered(model, Paddable)
    if paddable is None or data.label is not None or not paddable.can_pad(init):
        return None, _per_unit(model, data)
    values = _first([_power(paddable.size(), FEWEST_VALUES, 2), paddable.size()], each)
    return values, values


def is_small(model: Model, data: Data, lanes: int) -> bool:
    """Whether so many fits of data of this size take less time than compiling their programs."""
    return data.x.shape[0] * _per_unit(model, data) * lanes * EXPECTED <= SMALL


def is_brief(model: Model, data: Data, lanes: int) -> bool:
    """Whether a program that each of so many lanes runs once, on data f[n, d] or f[s, n, d], takes
    less time than compiling it saves where XLA optimises little."""
    cost = model.cost(data.x.shape[-1], data.x.dtype)
    n = data.weight.shape[-1]
    return n * cost.per_unit * cost.features * lanes <= BRIEF


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
