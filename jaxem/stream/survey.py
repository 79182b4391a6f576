"""The first pass over rows that are read in blocks: every row is checked, and a sample is kept."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from jaxem.batch.planning import memory
from jaxem.core.capabilities import offered
from jaxem.core.model_protocol import Model, Rescalable
from jaxem.core.types import DType
from jaxem.data.blocks import ROWS, Piece, RowBlocks, joined
from jaxem.data.data import Data
from jaxem.data.scaling import Scaling
from jaxem.data.validate import ALL_ZERO, TooFewRows

#: Rows of a sample, at least, where there are so many.
LEAST_SAMPLE = 1 << 16

#: Rows of a sample for each parameter of the model.
ROWS_PER_PARAMETER = 200


@dataclass(frozen=True)
class Survey:
    """What the first pass found."""

    n: int  # rows
    unit: tuple[int, ...]  # shape of a row
    dtype: DType  # float32 or float64
    weight: float  # total weight
    sample: Data  # on the host, its weights estimate those of all rows
    lowest: np.ndarray  # f[d], the lowest value of each column
    labelled: bool
    mark: str  # of the source, when the pass began

    @property
    def complete(self) -> bool:
        """Whether the sample is all rows."""
        return len(self.sample.x) == self.n


def survey(
    model: Model, rows: RowBlocks, key: jax.Array, sample_rows: Callable[[int, int], int]
) -> Survey:
    """One pass: ValueError with file, block and row for rows that the model cannot be fitted to.

    `sample_rows(d, bytes of a row)` is the size of the sample. It is drawn by priority sampling
    (Duffield, Lund and Thorup 2007, J. ACM 54(6), 32): the m rows of highest w/u, u uniform, with
    weights max(w, τ), τ the next lower w/u. Sums over it estimate sums over all rows without bias,
    and rows of large weight are in it for certain. It depends on the key, not on the blocks.
    """
    seed = np.asarray(key if key.dtype == np.uint32 else jax.random.key_data(key)).tolist()
    draw, mark, first = np.random.default_rng([*seed, 2]), rows.mark(), 0
    kept = most = last = lowest = None
    weight = 0.0
    for piece in rows.pieces(ROWS):
        data = piece.data
        check(model, piece)
        if most is None:
            model.validate_settings(data.x.shape[-1])
            most = sample_rows(data.x.shape[-1], data.x[0].nbytes)
        priority = np.asarray(data.weight) / (1 - draw.random(len(data.x)))
        kept = _highest(kept, _Sample(data, priority, first + np.arange(len(data.x))), most + 1)
        low = np.asarray(data.x).reshape(-1, data.x.shape[-1]).min(axis=0)
        lowest = low if lowest is None else np.minimum(lowest, low)
        weight += float(np.sum(data.weight, dtype=float))
        first, last = first + len(data.x), data
    if kept is None or most is None or last is None or lowest is None:
        raise ValueError(f"{rows.name}: no rows.")
    if weight == 0:
        raise ValueError(f"{rows.name}: {ALL_ZERO}")
    sample = kept.drawn(most) if first > most else kept.data
    dtype = np.dtype(np.float64 if last.x.dtype == np.float64 else np.float32)
    labelled = last.label is not None
    found = Survey(first, last.x.shape[1:], dtype, weight, sample, lowest, labelled, mark)
    model.validate(sample)  # enough rows
    return found


def check(model: Model, piece: Piece) -> None:
    """ValueError, with the place, for rows that the model cannot be fitted to."""
    try:
        model.validate(piece.data)
    except TooFewRows:
        return  # a block may be shorter than a fit needs
    except ValueError as error:

        def moved(found: re.Match) -> str:
            return f"row {piece.first + int(found[1])}"

        message = re.sub(r"\brow (\d+)", moved, str(error))
        raise ValueError(f"{piece.source}, block {piece.number}: {message}") from None


@dataclass(frozen=True)
class _Sample:
    """Rows that may be in the sample, their priorities f[m] and their numbers i[m]."""

    data: Data
    priority: np.ndarray
    number: np.ndarray

    def take(self, chosen: np.ndarray) -> "_Sample":
        label = None if self.data.label is None else np.asarray(self.data.label)[chosen]
        data = Data(self.data.x[chosen], self.data.weight[chosen], label)
        return _Sample(data, self.priority[chosen], self.number[chosen])

    def drawn(self, most: int) -> Data:
        """The `most` rows of highest priority, in their order, with their new weights."""
        order = np.argsort(-self.priority, kind="stable")
        threshold = self.priority[order[most]] if order.size > most else 0.0
        inside = self.take(np.sort(order[:most]))
        weight = np.maximum(inside.data.weight, threshold)
        return Data(inside.data.x, weight, inside.data.label)


def _highest(kept: _Sample | None, new: _Sample, count: int) -> _Sample:
    """The `count` rows of highest priority among those kept and the new ones, in their order."""
    if kept is not None and len(kept.number) == count:
        new = new.take(np.flatnonzero(new.priority > kept.priority.min()))
    if kept is not None:
        both = joined([kept.data, new.data])
        priority = np.concatenate([kept.priority, new.priority])
        new = _Sample(both, priority, np.concatenate([kept.number, new.number]))
    if len(new.number) <= count:
        return new
    return new.take(np.sort(np.argpartition(-new.priority, count - 1)[:count]))


def scaling_of(model: Model, found: Survey) -> Scaling:
    """The standard units f[d] of all rows, by the sample. The lowest value of each column is among
    its rows, at next to no weight: no base point may lie far above it."""
    d = found.unit[-1]
    rescalable = offered(model, Rescalable)
    if rescalable is None:
        return Scaling(np.zeros(d, found.dtype), np.ones(d, found.dtype))
    x, weight = found.sample.x, np.asarray(found.sample.weight, float)
    x = np.concatenate([x, found.lowest[None]]).astype(found.dtype)
    weight = np.append(weight, 1e-30 * weight.sum())
    scaling = rescalable.host_scaling(x[None], weight[None])
    return Scaling(scaling.shift[0], scaling.scale[0])


def sample_size(model: Model, limit: int | None, d: int, row_bytes: int) -> int:
    """Rows of the sample for a model of d columns, a quarter of the limit at most (None: of what a
    call may use)."""
    limit = memory() if limit is None else limit
    wish = max(LEAST_SAMPLE, ROWS_PER_PARAMETER * model.n_parameters(d))
    return max(1, min(wish, limit // (4 * max(row_bytes, 1))))
