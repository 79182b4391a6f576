"""The directions in which the parameters of a mixture can move, one row each.

Parameters obey linear constraints: shares sum to one, covariances are symmetric. Directions that
keep them are coordinates in which the likelihood has ordinary derivatives, and since parameters are
linear in these coordinates, the delta method from there back to the parameters is exact.
"""

import numpy as np

from jaxem.families import Categorical
from jaxem.families.gaussian import FullGaussian, TiedGaussian
from jaxem.models import Mixture, MixtureParams

#: Shares and rates this close to the end of their range (relative to 1) stand on it.
EDGE = 1e-8

#: Fields that cannot be negative; the shares among them cannot exceed 1 either.
NOT_NEGATIVE = ("weights", "probabilities", "rates")
SHARES = ("weights", "probabilities")

FREE, FIXED, ON_THE_EDGE = 0, 1, 2


def directions(model: Mixture, params: MixtureParams, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions f[p, m] in the space of all m entries of the parameters of d columns, in the
    order of `ravel_pytree`, and what each entry is i[m]: free, fixed, or on the edge of its range.

    Entries of a component that is switched off count as on the edge; parameters there are held.
    """
    blocks, kinds = [], []
    for name, value in {"weights": params.weights, **vars(params.components)}.items():
        value = np.asarray(value)
        kind = _kinds(model, params, name, value, d)
        blocks.append(_directions(model, name, kind))
        kinds.append(kind.ravel())
    sizes = np.array([block.shape for block in blocks])
    out = np.zeros(sizes.sum(axis=0))
    row = column = 0
    for block, (p, m) in zip(blocks, sizes, strict=True):
        out[row : row + p, column : column + m] = block
        row, column = row + p, column + m
    return out, np.concatenate(kinds)


def _kinds(
    model: Mixture, params: MixtureParams, name: str, value: np.ndarray, d: int
) -> np.ndarray:
    """What each entry of a field is, in the field's shape."""
    kind = np.full(value.shape, FREE)
    if name in NOT_NEGATIVE:
        kind[value < EDGE] = ON_THE_EDGE
    if name in SHARES and not (name == "weights" and value.size == 1):
        kind[value > 1 - EDGE] = ON_THE_EDGE
    if name not in model.family.shared:
        kind[np.asarray(params.weights) <= 0] = ON_THE_EDGE
    # Given parameters (a known covariance) are not counted among those that can be frozen.
    estimated = model.family.n_parameters(1, d, model.frozen) > model.family.n_parameters(
        1, d, (*model.frozen, name)
    )
    if name in model.frozen or (name != "weights" and not estimated):
        kind[...] = FIXED
    if name == "probabilities" and isinstance(model.family, Categorical):
        _fix_absent(kind, model.family.levels(d))
    return kind


def _fix_absent(kind: np.ndarray, levels: tuple[int, ...]) -> None:
    """Categories that a column does not have, or the only one it has, are no parameters."""
    for j, own in enumerate(levels):
        kind[:, j, own if own > 1 else 0 :] = FIXED


def _directions(model: Mixture, name: str, kind: np.ndarray) -> np.ndarray:
    """Directions f[p, size] of one field."""
    family, index = model.family, np.arange(kind.size).reshape(kind.shape)
    if name == "weights" or (name == "probabilities" and isinstance(family, Categorical)):
        simplices = index.reshape(-1, kind.shape[-1])
        pairs = [pair for one in simplices for pair in _exchanges(one[kind.flat[one] == FREE])]
        signs = 1.0, -1.0
    elif name == "covariances" and isinstance(family, FullGaussian | TiedGaussian):
        i, j = np.triu_indices(kind.shape[-1])
        both = np.stack([index[..., i, j], index[..., j, i]], axis=-1).reshape(-1, 2)
        pairs = [pair for pair in both if kind.flat[pair[0]] == FREE]
        signs = 1.0, 1.0
    else:
        pairs = [(one, one) for one in index[kind == FREE]]
        signs = 1.0, 1.0
    out = np.zeros((len(pairs), kind.size))
    for row, (a, b) in enumerate(pairs):
        out[row, a], out[row, b] = signs
    return out


def _exchanges(entries: np.ndarray) -> list[tuple[int, int]]:
    """What one share gains the last one loses."""
    return [(int(one), int(entries[-1])) for one in entries[:-1]]
