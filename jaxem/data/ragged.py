"""Data sets of different length: taken apart, judged, padded, grouped by length."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jaxem.core.status import Status

#: Weights of each data set; None means 1 for every row.
Weights = Sequence[np.ndarray | None]

#: Responsibilities that cost about as much as compiling for one more length.
COMPILE = 1 << 30

#: Iterations a fit is expected to make, for weighing padding against compiling.
EXPECTED = 50

#: Values of neighbouring data sets looked at together: calling NumPy is then small beside what it
#: does, and what it makes stays in a core's cache.
BLOCK = 1 << 16


def as_list(
    x: Any, weight: Any = None, groups: Any = None, lengths: Any = None
) -> tuple[list[np.ndarray], Weights]:
    """Data sets f[n_i, d] and their weights from a list of arrays, one array f[n, d] with group
    ids [n], or a padded array f[s, m, d] with lengths i[s]. ValueError for anything else."""
    if groups is not None and lengths is not None:
        raise ValueError("give groups (one array with ids) or lengths (a padded array), not both.")
    if groups is not None:
        return _split(np.asarray(x), np.asarray(groups), weight)
    if lengths is not None:
        return _unpad(np.asarray(x), np.asarray(lengths), weight)
    sets = _sets(x)
    if not sets:
        raise ValueError("x holds no data set.")
    widths = {one.shape[1] for one in sets if one.size}
    if len(widths) > 1:
        raise ValueError(f"all data sets need the same number of columns; got {sorted(widths)}.")
    return sets, [None] * len(sets) if weight is None else _weights(weight, sets)


def judge(
    sets: list[np.ndarray], weights: Weights, k: int, validate: Callable[[np.ndarray], Any]
) -> np.ndarray:
    """i[s]: RUNNING for a data set that can be fitted, else the status its fits end with. Data sets
    are looked at one by one only where something is wrong with one of several."""
    fate = np.full(len(sets), Status.RUNNING)
    for own in _blocks(sets):
        some = sets[own], weights[own]
        if len(some[0]) == 1 or not _all_fine(*some, k, validate):
            fate[own] = [_judge(*one, k, validate) for one in zip(*some, strict=True)]
    return fate


def _blocks(sets: list[np.ndarray]) -> list[slice]:
    """Neighbours of about `BLOCK` values together; a large data set by itself."""
    sizes = np.array([one.size for one in sets])
    cut = np.diff(np.cumsum(sizes) // BLOCK) > 0  # before a large one anyway
    ends = [*(np.flatnonzero(cut | (sizes[:-1] >= BLOCK)) + 1), len(sets)]
    return [slice(int(i), int(j)) for i, j in pairwise([0, *ends])]


def _all_fine(sets: list[np.ndarray], weights: Weights, k: int, validate: Any) -> bool:
    """Whether all of several data sets can be fitted."""
    lengths = np.array([len(one) for one in sets])
    if lengths.min() < k or min(one.size for one in sets) == 0:
        return False
    x = np.concatenate(sets)
    if not np.isfinite(x).all():
        return False
    if weights[0] is not None:
        weight = np.concatenate(weights)  # type: ignore[arg-type]
        kept = np.add.reduceat(weight > 0, np.cumsum(lengths) - lengths, dtype=int)
        if not (np.isfinite(weight) & (weight >= 0)).all() or kept.min() < k:
            return False
    try:
        validate(x)
    except ValueError:
        return False
    return True


def _judge(x: np.ndarray, weight: np.ndarray | None, k: int, validate: Any) -> Status:
    """What becomes of one data set."""
    kept = x if weight is None else x[weight > 0]
    if len(kept) < k or x.shape[1] == 0:
        return Status.EMPTY_COMPONENT
    if not np.isfinite(x).all():
        return Status.NONFINITE
    if weight is not None and (not np.isfinite(weight).all() or (weight < 0).any()):
        return Status.NONFINITE
    try:
        validate(x)
    except ValueError:
        return Status.NONFINITE
    return Status.RUNNING


def buckets(lengths: np.ndarray, per_row: int) -> list[tuple[int, np.ndarray]]:
    """(padded length, the data sets it takes), ascending; `per_row` responsibilities per row and
    step. Lengths are 2^j or 1.5 · 2^j, fewer where padding is cheaper than compiling."""
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
    sets: list[np.ndarray], weights: Weights, length: int, dtype: Any
) -> tuple[np.ndarray, np.ndarray]:
    """x f[s, length, d], filled up with each set's own first row, and weights f[s, length] that
    are 0 there: 0 may be outside a family's support."""
    x = np.empty((len(sets), length, sets[0].shape[1]), dtype)
    w = np.empty((len(sets), length), dtype)
    for own in _blocks(sets):
        _pad(sets[own], weights[own], x[own], w[own])
    return x, w


def _pad(sets: list[np.ndarray], weights: Weights, x: np.ndarray, w: np.ndarray) -> None:
    """`pad` of a few into x and w."""
    lengths = np.array([len(one) for one in sets])
    n = lengths.min()
    # A row as one item: NumPy would copy its few columns in a loop of their own.
    items = x.view(np.dtype((np.void, x.itemsize * x.shape[2])))[..., 0]
    if len(sets) > 1 and n == lengths.max():
        x[:, :n] = np.concatenate(sets).reshape(len(sets), n, -1)
        items[:, n:] = items[:, :1]
        w[:, :n], w[:, n:] = 1, 0
    else:
        for one, rows in zip(sets, x, strict=True):
            rows[: len(one)] = one
        there = np.arange(w.shape[1]) < lengths[:, None]
        np.copyto(items[:, n:], items[:, :1], where=~there[:, n:])
        w[...] = there
    if weights[0] is not None:
        for weight, own in zip(weights, w, strict=True):
            own[: len(weight)] = weight  # type: ignore[arg-type]


def _ladder(largest: int) -> np.ndarray:
    sizes, size = [], 8
    while not sizes or sizes[-1] < largest:
        sizes += [size, size * 3 // 2]
        size *= 2
    return np.asarray(sizes)


def _sets(x: Any) -> list[np.ndarray]:
    """The data sets f[n_i, d] of a list of arrays, or of one array f[s, n, d]."""
    if hasattr(x, "ndim") and x.dtype != object:
        if x.ndim != 3:
            raise ValueError(
                f"x must be a list of arrays, f[s, n, d], or one array with groups=; got {x.shape}."
            )
        x = np.asarray(x)  # from a device in one piece
    return [_two_dimensional(np.asarray(one), i) for i, one in enumerate(x)]


def _weights(weight: Any, sets: list[np.ndarray]) -> list[np.ndarray]:
    weights = [np.asarray(w) for w in weight]
    if len(weights) != len(sets):
        raise ValueError(
            f"sample_weight must hold one array per data set ({len(sets)}); got {len(weights)}."
        )
    for i, (one, w) in enumerate(zip(sets, weights, strict=True)):
        if w.shape != one.shape[:1]:
            raise ValueError(
                f"sample_weight[{i}] must have shape ({len(one)},), one per row; got {w.shape}."
            )
    return weights


def _two_dimensional(one: np.ndarray, i: int) -> np.ndarray:
    if one.dtype.kind not in "fiub":
        raise ValueError(f"x[{i}] must be numeric; got dtype {one.dtype}.")
    one = one[:, None] if one.ndim == 1 else one
    if one.ndim != 2:
        raise ValueError(f"x[{i}] must have shape [n] or [n, d]; got {one.shape}.")
    return one


def _split(x, groups, weight):
    x = _two_dimensional(x, 0)
    if groups.shape != x.shape[:1]:
        raise ValueError(f"groups must have shape ({len(x)},), one per row; got {groups.shape}.")
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(groups[order][1:] != groups[order][:-1]) + 1
    sets = np.split(x[order], cuts)
    if weight is None:
        return sets, [None] * len(sets)
    weight = np.asarray(weight)
    if weight.shape != x.shape[:1]:
        raise ValueError(f"sample_weight must have shape ({len(x)},); got {weight.shape}.")
    return sets, list(np.split(weight[order], cuts))


def _unpad(x, lengths, weight):
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or lengths.shape != x.shape[:1]:
        raise ValueError(
            f"with lengths, x must be f[s, m, d] and lengths i[s]; got {x.shape}, {lengths.shape}."
        )
    if (lengths < 0).any() or (lengths > x.shape[1]).any():
        raise ValueError(f"lengths must lie between 0 and {x.shape[1]}.")
    sets = [one[:n] for one, n in zip(x, lengths, strict=True)]
    if weight is None:
        return sets, [None] * len(sets)
    return sets, _weights([np.asarray(w)[:n] for w, n in zip(weight, lengths, strict=True)], sets)
