"""Data sets of different lengths: read, checked, padded, and grouped into buckets by length."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import DType, Rows
from jaxem.data.data import Data, shape_message
from jaxem.data.validate import TooFewRows

#: Weights or labels of every data set; None where nothing is given.
Known = list[np.ndarray] | None

#: Number of responsibilities whose computation costs about as much as compiling another length.
COMPILE = 1 << 30

#: Iterations expected of a fit, for weighing padding against compiling.
EXPECTED = 50

#: Values of neighbouring data sets processed together: enough that NumPy's overhead per call is
#: small, few enough that results stay in a core's cache.
BLOCK = 1 << 16


def as_list(
    x: Rows, weight: Rows = None, groups: Rows = None, lengths: Rows = None, labels: Rows = None
) -> list[Data]:
    """Data sets from a list of arrays f[n_i, d] or of `Data`, one array f[n, d] (or one `Data`)
    with group ids [n], a padded array f[s, m, d] with lengths i[s]; weights and labels in the form
    of x. Or one array f[n, d] with weights f[s, n] and labels i[n]: a data set for each row of
    weights, all of the same rows. Leaves are NumPy arrays; weight and label are None where none are
    given. ValueError for anything else."""
    if groups is not None and lengths is not None:
        raise ValueError("give groups (one array with ids) or lengths (a padded array), not both.")
    if isinstance(x, Data):
        x, weight, labels = _taken_apart([x], weight, labels)
        x, weight, labels = x[0], weight[0], None if labels is None else labels[0]
    table = getattr(x, "ndim", 0) in (1, 2) and getattr(weight, "ndim", 0) == 2
    if table and groups is None and lengths is None:
        return _one_table(np.asarray(x), np.asarray(weight), labels)
    if groups is not None:
        return _split(np.asarray(x), np.asarray(groups), weight, labels)
    if lengths is not None:
        return _unpad(np.asarray(x), np.asarray(lengths), weight, labels)
    if isinstance(x, Sequence) and len(x) and all(isinstance(item, Data) for item in x):
        x, weight, labels = _taken_apart(x, weight, labels)
    sets = _sets(x)
    if not sets:
        raise ValueError("x holds no data set.")
    widths = {x.shape[1:] for x in sets if x.size}
    if len(widths) > 1:
        raise ValueError(f"all data sets need units of one shape; got {sorted(widths)}.")
    weights, known = _by_row(weight, sets, GIVEN[0]), _by_row(labels, sets, GIVEN[1])
    return _joined(sets, weights, known)


#: Arguments that give a value to each row.
GIVEN = "sample_weight", "labels"


def _taken_apart(
    sets: Sequence[Data], weight: Rows, labels: Rows
) -> tuple[list, list, list | None]:
    if any(data.mesh is not None for data in sets):
        raise ValueError("fit_many spreads fits, not rows: give devices= and plain arrays.")
    if weight is not None or labels is not None:
        raise ValueError("x is Data, which has its own weight and label: give them there only.")
    known = None
    if any(data.label is not None for data in sets):
        known = [np.full(len(s.x), -1) if s.label is None else np.asarray(s.label) for s in sets]
    return [np.asarray(s.x) for s in sets], [np.asarray(s.weight) for s in sets], known


def _joined(sets: Sequence[np.ndarray], weights: Known, labels: Known) -> list[Data]:
    nothing = [None] * len(sets)
    rows: Any = zip(sets, weights or nothing, labels or nothing, strict=True)
    return [Data(*fields) for fields in rows]


def same_rows(sets: list[Data]) -> bool:
    """Whether several data sets share x and label (the same objects) and differ in their weights
    alone."""
    first = sets[0]
    alike = (s.x is first.x and s.label is first.label and s.weight is not None for s in sets)
    return len(sets) > 1 and all(alike)


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


def _sets(x: Rows) -> list[np.ndarray]:
    """The data sets f[n_i, d] of a list of arrays, or of one array f[s, n, d]."""
    if hasattr(x, "ndim") and x.dtype != object:
        if x.ndim < 3:
            raise ValueError(
                f"x must be a list of arrays, f[s, n, d], or one array with groups=; got {x.shape}."
            )
        x = np.asarray(x)  # from a device in one piece
    return [_units(np.asarray(one), i) for i, one in enumerate(x)]


def _by_row(values: Rows, sets: list[np.ndarray], name: str) -> Known:
    """One array of weights or labels per data set; ValueError where shapes do not match."""
    if values is None:
        return None
    arrays = [np.asarray(value) for value in values]
    if len(arrays) != len(sets):
        raise ValueError(
            f"{name} must hold one array per data set ({len(sets)}); got {len(arrays)}."
        )
    for i, (one, value) in enumerate(zip(sets, arrays, strict=True)):
        if value.shape != one.shape[:1]:
            raise ValueError(
                f"{name}[{i}] must have shape ({len(one)},), one per row; got {value.shape}."
            )
    return arrays


def _units(one: np.ndarray, i: int) -> np.ndarray:
    """A data set f[n, ..., d]."""
    if one.dtype.kind not in "fiub":
        raise ValueError(f"x[{i}] must be numeric; got dtype {one.dtype}.")
    if one.ndim == 0:
        raise ValueError(f"x[{i}] must have shape [n] or [n, d]; got ().")
    return one[:, None] if one.ndim == 1 else one


def _split(x: np.ndarray, groups: np.ndarray, weight: Rows, labels: Rows) -> list[Data]:
    x = _units(x, 0)
    if groups.shape != x.shape[:1]:
        raise ValueError(f"groups must have shape ({len(x)},), one per row; got {groups.shape}.")
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(groups[order][1:] != groups[order][:-1]) + 1

    def apart(value: Rows, name: str) -> Known:
        if value is None:
            return None
        value = np.asarray(value)
        if value.shape != x.shape[:1]:
            raise ValueError(f"{name} must have shape ({len(x)},); got {value.shape}.")
        return list(np.split(value[order], cuts))

    given = (apart(v, name) for name, v in zip(GIVEN, (weight, labels), strict=True))
    return _joined(np.split(x[order], cuts), *given)


def _one_table(x: np.ndarray, weight: np.ndarray, labels: Rows) -> list[Data]:
    """Data sets that share the rows of x, with weights f[s, n]."""
    x = _units(x, 0)
    label = None if labels is None else np.asarray(labels)
    for name, value in (("sample_weight", weight[0]), ("labels", label)):
        if value is not None and value.shape != x.shape[:1]:
            raise ValueError(shape_message(name, len(x), value.shape))
    return [Data(x, row, label) for row in weight]


def _unpad(x: np.ndarray, lengths: np.ndarray, weight: Rows, labels: Rows) -> list[Data]:
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or lengths.shape != x.shape[:1]:
        raise ValueError(
            f"with lengths, x must be f[s, m, d] and lengths i[s]; got {x.shape}, {lengths.shape}."
        )
    if (lengths < 0).any() or (lengths > x.shape[1]).any():
        raise ValueError(f"lengths must lie between 0 and {x.shape[1]}.")
    sets = [one[:n] for one, n in zip(x, lengths, strict=True)]

    def short(value: Rows, name: str) -> Known:
        if value is None:
            return None
        return _by_row(
            [np.asarray(one)[:n] for one, n in zip(value, lengths, strict=True)], sets, name
        )

    given = (short(v, name) for name, v in zip(GIVEN, (weight, labels), strict=True))
    return _joined(sets, *given)
