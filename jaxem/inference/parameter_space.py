"""The directions in which the parameters of a model can move, one row each.

Parameters obey linear constraints: weights sum to one, covariances are symmetric. Directions that
keep the constraints are coordinates in which the likelihood has ordinary derivatives. Parameters
are linear in these coordinates, so the delta method from them to the parameters is exact.
"""

import jax
import numpy as np

from jaxem.core.capabilities import offered, provides
from jaxem.core.constraints import Constraint, Interval, Simplex, SymmetricPD
from jaxem.core.model_protocol import Freezable, Model, Switchable
from jaxem.core.trees import replace
from jaxem.core.types import Params, PyTree

#: A bounded parameter this close to an end of its range counts as on the edge.
EDGE = 1e-8

FREE, FIXED, ON_THE_EDGE = 0, 1, 2


def directions(model: Model, params: Params, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions f[p, m] in the space of all m entries of the parameters of d columns, in the
    order of `ravel_pytree`; and the kind of each entry i[m]: FREE, FIXED or ON_THE_EDGE.

    Entries of a latent value that is switched off count as on the edge; parameters there are held.
    """
    constraints, blocks, kinds = model.constraints(), [], []
    switchable = offered(model, Switchable)
    off = None if switchable is None else ~switchable.active(params)
    for path, value in jax.tree_util.tree_leaves_with_path(params):
        name = path[-1].name
        kind = _range_kinds(constraints[name], np.asarray(value), off)
        if not _estimated(model, name, d):
            kind[...] = FIXED
        blocks.append(_directions(constraints[name], kind))
        kinds.append(kind.ravel())
    sizes = np.array([block.shape for block in blocks])
    out = np.zeros(sizes.sum(axis=0))
    row = column = 0
    for block, (p, m) in zip(blocks, sizes, strict=True):
        out[row : row + p, column : column + m] = block
        row, column = row + p, column + m
    return out, np.concatenate(kinds)


def _estimated(model: PyTree, name: str, d: int) -> bool:
    """Whether the field has free parameters: not where it is frozen, or given to the model."""
    if not provides(type(model), Freezable):
        return True
    without = replace(model, frozen=(*model.frozen, name))
    return model.n_parameters(d) > without.n_parameters(d)


def _range_kinds(constraint: Constraint, value: np.ndarray, off: np.ndarray | None) -> np.ndarray:
    """The kind of each entry of a field, by its value and the latent values that are off b[k]."""
    kind = np.full(value.shape, FREE)
    match constraint:
        case Simplex():
            kind[(value < EDGE) | (value > 1 - EDGE)] = ON_THE_EDGE
        case Interval(low, high):
            kind[(value < low + EDGE) | (value > high - EDGE)] = ON_THE_EDGE
    if off is not None and not constraint.shared:
        kind[off] = ON_THE_EDGE
    if isinstance(constraint, Simplex):
        present = constraint.present(value.shape)
        # The only weight of a simplex is 1 and cannot move.
        kind[~present | (present.sum(axis=-1, keepdims=True) == 1)] = FIXED
    return kind


def _directions(constraint: Constraint, kind: np.ndarray) -> np.ndarray:
    """Directions f[p, size] of one field whose entries are of these kinds."""
    index, signs = np.arange(kind.size).reshape(kind.shape), (1.0, 1.0)
    match constraint:
        case Simplex():
            simplices = index.reshape(-1, kind.shape[-1])
            pairs = [pair for row in simplices for pair in _exchanges(row[kind.flat[row] == FREE])]
            signs = 1.0, -1.0
        case SymmetricPD():
            i, j = np.triu_indices(kind.shape[-1])
            both = np.stack([index[..., i, j], index[..., j, i]], axis=-1).reshape(-1, 2)
            pairs = [pair for pair in both if kind.flat[pair[0]] == FREE]
        case _:
            pairs = [(entry, entry) for entry in index[kind == FREE]]
    out = np.zeros((len(pairs), kind.size))
    for row, (a, b) in enumerate(pairs):
        out[row, a], out[row, b] = signs
    return out


def _exchanges(entries: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of entries: each entry but the last, with the last. What the first gains, the last
    loses."""
    return [(int(entry), int(entries[-1])) for entry in entries[:-1]]
