"""Data sets of different lengths: checked, padded, and grouped into buckets by length."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import DType
from jaxem.data.data import Data
from jaxem.data.sets import same_rows
from jaxem.data.validate import TooFewRows

#: Number of responsibilities whose computation costs about as much as compiling another length.
COMPILE = 1 << 30

#: Iterations expected of a fit, for weighing padding against compiling.
EXPECTED = 50

#: Smallest sizes of a call's programs.
FEWEST_ROWS, FEWEST_VALUES = 512, 4

#: Values of neighbouring data sets processed together: enough that NumPy's overhead per call is
#: small, few enough that results stay in a core's cache.
BLOCK = 1 << 16


def judge(sets: list[Data], least: int, validate: Callable[[Data], object]) -> np.ndarray:
    """i[s]: RUNNING for a data set that can be fitted, otherwise the status that its fits end with.
    A fit needs `least` rows. Data sets are checked in blocks, and one by one only in a block with
    a fault."""
    fate = np.full(len(sets), Status.RUNNING)
    if same_rows(sets):
        return _judge_weights(sets, least, validate)
    for block in _blocks(sets):
        some = sets[block]
        if len(some) == 1 or not _all_fine(some, least, validate):
            fate[block] = [_judge(data, least, validate) for data in some]
    return fate


def _judge_weights(sets: list[Data], least: int, validate: Callable[[Data], object]) -> np.ndarray:
    """The same for data sets that share their rows: x is checked once where it can be fitted."""
    weight = np.stack([np.asarray(data.weight, float) for data in sets])
    used = np.where(np.isfinite(weight) & (weight > 0), 1.0, 0.0).max(axis=0)
    if _judge(replace(sets[0], weight=used), least, validate) != Status.RUNNING:
        return np.array([_judge(data, least, validate) for data in sets])
    fate = np.full(len(sets), Status.RUNNING)
    fate[np.sum(weight > 0, axis=1) < least] = Status.EMPTY_COMPONENT
    fate[~(np.isfinite(weight) & (weight >= 0)).all(axis=1)] = Status.NONFINITE
    return fate


def _blocks(sets: list[Data]) -> list[slice]:
    """Slices of neighbouring data sets, of about `BLOCK` values; a large data set by itself."""
    sizes = np.array([one.x.size for one in sets])
    cut = np.diff(np.cumsum(sizes) // BLOCK) > 0  # a block also ends before a large data set
    ends = [*(np.flatnonzero(cut | (sizes[:-1] >= BLOCK)) + 1), len(sets)]
    return [slice(int(i), int(j)) for i, j in pairwise([0, *ends])]


def _all_fine(sets: list[Data], least: int, validate: Callable[[Data], object]) -> bool:
    """Whether all of several data sets can be fitted."""
    lengths = np.array([len(one.x) for one in sets])
    if lengths.min() < least or min(one.x.size for one in sets) == 0:
        return False
    x = np.concatenate([one.x for one in sets])
    if not np.isfinite(x).all():
        return False
    weight, label = np.ones(len(x)), None
    if sets[0].weight is not None:
        weight = np.concatenate([one.weight for one in sets])
        kept = np.add.reduceat(weight > 0, np.cumsum(lengths) - lengths, dtype=int)
        if not (np.isfinite(weight) & (weight >= 0)).all() or kept.min() < least:
            return False
    if sets[0].label is not None:
        label = np.concatenate([np.asarray(one.label) for one in sets])
    try:
        validate(Data(x, weight, label))
    except ValueError:
        return False
    return True


def _judge(data: Data, least: int, validate: Callable[[Data], object]) -> Status:
    """The status of one data set."""
    x = np.asarray(data.x)
    weight = np.ones(len(x)) if data.weight is None else np.asarray(data.weight)
    if np.sum(weight > 0) < least or x.size == 0:
        return Status.EMPTY_COMPONENT
    if not (np.isfinite(weight) & (weight >= 0)).all() or not np.isfinite(x).all():
        return Status.NONFINITE
    try:
        validate(replace(data, weight=weight))
    except TooFewRows:
        return Status.EMPTY_COMPONENT
    except ValueError:
        return Status.NONFINITE
    return Status.RUNNING


def buckets(lengths: np.ndarray, per_row: int) -> list[tuple[int, np.ndarray]]:
    """Buckets (padded length, numbers of its data sets), by ascending length. Lengths are 2^j or
    1.5 · 2^j; a bucket joins the next where padding is cheaper than compiling, for `per_row`
    responsibilities per row and step."""
    ladder = _ladder(int(lengths.max()))
    place = np.searchsorted(ladder, lengths)
    out, carried = [], np.zeros(0, int)
    for i, length in enumerate(ladder):
        own = np.concatenate([carried, np.flatnonzero(place == i)])
        carried = np.zeros(0, int)
        later = np.flatnonzero(place > i)
        if own.size == 0:
            continue
        if later.size:
            target = ladder[place[later].min()]
            extra = float(np.sum(target - lengths[own])) * per_row * EXPECTED
            if extra < COMPILE:
                carried = own
                continue
        out.append((int(length), np.sort(own)))
    return out


def padded_length(n: int) -> int:
    """The next of 512, 640, 768, 896, 1024, 1280, ...: data sets of similar length, such as the
    folds of a cross-validation, then share one compiled program."""
    size = FEWEST_ROWS
    while size < n:
        size += 1 << (size.bit_length() - 3)
    return size


def pad(
    sets: list[Data], length: int, dtype: DType
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """x f[s, length, d], padded with the first row of each set (0 may lie outside a model's
    support); weights f[s, length], 0 in the padding; and labels i[s, length], -1 in the padding, if
    any."""
    x = np.empty((len(sets), length, *sets[0].x.shape[1:]), dtype)
    w = np.empty((len(sets), length), dtype)
    for block in _blocks(sets):
        _pad(sets[block], x[block], w[block])
    if sets[0].label is None:
        return x, w, None
    label = np.full(w.shape, -1, np.int32)
    for one, into in zip(sets, label, strict=True):
        into[: len(one.x)] = np.asarray(one.label)
    return x, w, label


def _pad(sets: list[Data], x: np.ndarray, w: np.ndarray) -> None:
    """Write a block of data sets, padded, into x and w."""
    lengths = np.array([len(one.x) for one in sets])
    n = lengths.min()
    # A row as one item: otherwise NumPy copies the few columns of a row in an inner loop.
    flat = x.reshape(*w.shape, -1)
    items = flat.view(np.dtype((np.void, x.itemsize * flat.shape[2])))[..., 0]
    if len(sets) > 1 and n == lengths.max():
        x[:, :n] = np.concatenate([one.x for one in sets]).reshape(len(sets), n, *x.shape[2:])
        items[:, n:] = items[:, :1]
        w[:, :n], w[:, n:] = 1, 0
    else:
        for one, rows in zip(sets, x, strict=True):
            rows[: len(one.x)] = one.x
        there = np.arange(w.shape[1]) < lengths[:, None]
        np.copyto(items[:, n:], items[:, :1], where=~there[:, n:])
        w[...] = there
    if sets[0].weight is not None:
        for data, row in zip(sets, w, strict=True):
            row[: len(data.x)] = data.weight


def _ladder(largest: int) -> np.ndarray:
    sizes, size = [], 8
    while not sizes or sizes[-1] < largest:
        sizes += [size, size * 3 // 2]
        size *= 2
    return np.asarray(sizes)
