"""Many data sets, read from every form in which a caller may give them."""

from collections.abc import Iterator, Sequence

import numpy as np

from jaxem.core.types import Rows
from jaxem.data.data import Data, check_none_beside, check_per_row

#: Arguments that give a value to each row.
GIVEN = "sample_weight", "labels"

#: Rows, weights or labels of every data set; None where nothing is given.
Parts = list[np.ndarray] | None


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
        (x,), (weight,), known = _taken_apart([x], weight, labels)
        labels = known and known[0]
    table = getattr(x, "ndim", 0) in (1, 2) and getattr(weight, "ndim", 0) == 2
    if table and groups is None and lengths is None:
        return _one_table(np.asarray(x), np.asarray(weight), labels)
    if groups is not None:
        x, weight, labels = _split(np.asarray(x), np.asarray(groups), weight, labels)
    elif lengths is not None:
        x, weight, labels = _unpad(np.asarray(x), np.asarray(lengths), weight, labels)
    elif isinstance(x, Sequence) and len(x) and all(isinstance(item, Data) for item in x):
        x, weight, labels = _taken_apart(x, weight, labels)
    sets = _sets(x)
    if not sets:
        raise ValueError("x holds no data set.")
    widths = {x.shape[1:] for x in sets if x.size}
    if len(widths) > 1:
        raise ValueError(
            "all data sets need the same number of columns (units of one shape); got "
            f"{sorted(widths)}."
        )
    weights, known = _by_row(weight, sets, GIVEN[0]), _by_row(labels, sets, GIVEN[1])
    return [Data(*parts) for parts in zip(sets, weights, known, strict=True)]


def same_rows(sets: list[Data]) -> bool:
    """Whether several data sets share x and label (the same objects) and differ in their weights
    alone."""
    first = sets[0]
    alike = (s.x is first.x and s.label is first.label and s.weight is not None for s in sets)
    return len(sets) > 1 and all(alike)


def _taken_apart(sets: Sequence[Data], weight: Rows, labels: Rows) -> tuple[list, list, Parts]:
    if any(data.mesh is not None for data in sets):
        raise ValueError("fit_many spreads fits, not rows: give devices= and plain arrays.")
    check_none_beside(weight, labels)
    known = None
    if any(data.label is not None for data in sets):
        known = [np.full(len(s.x), -1) if s.label is None else np.asarray(s.label) for s in sets]
    return [np.asarray(s.x) for s in sets], [np.asarray(s.weight) for s in sets], known


def _sets(x: Rows) -> list[np.ndarray]:
    """The data sets f[n_i, d] of a list of arrays, or of one array f[s, n, d]."""
    if hasattr(x, "ndim") and x.dtype != object:
        if x.ndim < 3:
            raise ValueError(
                f"x must be a list of arrays, f[s, n, d], or one array with groups=; got {x.shape}."
            )
        x = np.asarray(x)  # from a device in one piece
    return [_units(np.asarray(one), i) for i, one in enumerate(x)]


def _by_row(values: Rows, sets: list[np.ndarray], name: str) -> list:
    """One array of weights or labels per data set, None where none are given; ValueError where
    shapes do not match."""
    if values is None:
        return [None] * len(sets)
    arrays = [np.asarray(value) for value in values]
    if len(arrays) != len(sets):
        raise ValueError(
            f"{name} must hold one array per data set ({len(sets)}); got {len(arrays)}."
        )
    for i, (one, value) in enumerate(zip(sets, arrays, strict=True)):
        check_per_row(f"{name}[{i}]", value, len(one))
    return arrays


def _units(one: np.ndarray, i: int) -> np.ndarray:
    """A data set f[n, ..., d]."""
    if one.dtype.kind not in "fiub":
        raise ValueError(f"x[{i}] must be numeric; got dtype {one.dtype}.")
    if one.ndim == 0:
        raise ValueError(f"x[{i}] must have shape [n] or [n, d]; got ().")
    return one[:, None] if one.ndim == 1 else one


def _split(x: np.ndarray, groups: np.ndarray, weight: Rows, labels: Rows) -> Iterator[Parts]:
    """Rows, weights and labels of each group, in lists."""
    x = _units(x, 0)
    given = [None if value is None else np.asarray(value) for value in (groups, weight, labels)]
    for name, value in zip(("groups", *GIVEN), given, strict=True):
        check_per_row(name, value, len(x))
    order = np.argsort(groups, kind="stable")
    cuts = np.flatnonzero(groups[order][1:] != groups[order][:-1]) + 1
    return (None if v is None else np.split(v[order], cuts) for v in (x, *given[1:]))


def _one_table(x: np.ndarray, weight: np.ndarray, labels: Rows) -> list[Data]:
    """Data sets that share the rows of x, with weights f[s, n]."""
    x = _units(x, 0)
    label = None if labels is None else np.asarray(labels)
    if not len(weight):
        raise ValueError("sample_weight has no row, so there is no data set; give f[sets, n].")
    check_per_row("sample_weight", weight[0], len(x))
    check_per_row("labels", label, len(x))
    return [Data(x, row, label) for row in weight]


def _unpad(x: np.ndarray, lengths: np.ndarray, weight: Rows, labels: Rows) -> Iterator[Parts]:
    """Rows, weights and labels of each data set, in lists."""
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or lengths.shape != x.shape[:1]:
        raise ValueError(
            f"with lengths, x must be f[s, m, d] and lengths i[s]; got {x.shape}, {lengths.shape}."
        )
    if (lengths < 0).any() or (lengths > x.shape[1]).any():
        raise ValueError(f"lengths must lie between 0 and {x.shape[1]}.")
    return (
        None if v is None else [np.asarray(one)[:n] for one, n in zip(v, lengths, strict=True)]
        for v in (x, weight, labels)
    )
