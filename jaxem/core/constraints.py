"""Constraints of parameters: one for each field of a family's parameters.

A family declares `constraints()`, in the units of the data. Standard errors move parameters only
within the constraints, an extrapolation is brought back onto them, and given parameters that break
a constraint are refused by name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.trees import replace

#: Tolerance, relative to size, of sums of shares (from 1) and of the two halves of a matrix.
SLACK = 1e-3

P = TypeVar("P")


@dataclass(frozen=True)
class Simplex:
    """Shares along the last axis: none is negative, and they sum to one.

    `sizes` is the number of shares: one number, or one for each entry of the axis before the last.
    Entries beyond it are 0 and no parameters. None: the whole axis.
    """

    sizes: int | tuple[int, ...] | None = None
    shared: bool = False

    def present(self, shape: tuple[int, ...]) -> np.ndarray:
        """b[shape]: the entries that are shares."""
        count = shape[-1] if self.sizes is None else np.asarray(self.sizes)[..., None]
        return np.broadcast_to(np.arange(shape[-1]) < count, shape)


@dataclass(frozen=True)
class Positive:
    """Above 0. A maximum of the likelihood never lies at 0."""

    shared: bool = False


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, both included: a maximum may lie at either end."""

    low: float
    high: float
    shared: bool = False


@dataclass(frozen=True)
class SymmetricPD:
    """Symmetric positive definite matrices along the last two axes."""

    shared: bool = False


@dataclass(frozen=True)
class Free:
    """Any finite number."""

    shared: bool = False


#: `shared`: the field has no component axis; otherwise the component axis is its first.
Constraint = Simplex | Positive | Interval | SymmetricPD | Free


def shared_fields(constraints: Mapping[str, Constraint]) -> tuple[str, ...]:
    """Fields without a component axis."""
    return tuple(name for name, constraint in constraints.items() if constraint.shared)


def retract(constraints: Mapping[str, Constraint], params: P) -> P:
    """Parameters with shares divided by their sum: rounding in an extrapolation moves it from 1."""
    moved: dict[str, jax.Array] = {}
    for name, constraint in constraints.items():
        if isinstance(constraint, Simplex):
            value = getattr(params, name)
            moved[name] = value / jnp.sum(value, axis=-1, keepdims=True)
    return replace(params, **moved) if moved else params


def inside(constraints: Mapping[str, Constraint], params: P, share: float) -> P:
    """Parameters (any leading axes, on the host) whose shares, and numbers within an interval, are
    at least `share` away from its ends. Shares without a component axis stay, such as weights.

    Estimates from some of the rows may lie at an end, such as the probability 0 of a category, only
    because those rows lack what others have. The likelihood of all rows would then be 0, and
    nothing could be told of two such estimates.
    """
    moved: dict[str, np.ndarray] = {}
    for name, constraint in constraints.items():
        value = np.asarray(getattr(params, name))
        match constraint:
            case Simplex(shared=False):
                present = constraint.present(value.shape)
                kept = np.where(present, np.maximum(value, share), 0)
                moved[name] = (kept / kept.sum(axis=-1, keepdims=True)).astype(value.dtype)
            case Interval(low, high):
                room = share * (high - low if np.isfinite(high - low) else 1)
                moved[name] = np.clip(value, low + room, high - room).astype(value.dtype)
    return _with_fields(params, moved)


def _with_fields(params: P, values: Mapping[str, np.ndarray]) -> P:
    """The parameters with fields changed, of themselves or of a part of them."""
    parts: dict[str, object] = {}
    for name, part in vars(params).items():
        if name in values:
            parts[name] = values[name]
        elif is_dataclass(part):
            parts[name] = _with_fields(part, values)
    return replace(params, **parts) if parts else params


def broken(constraints: Mapping[str, Constraint], params: object) -> jax.Array:
    """b[]: whether a field breaks its constraint, traced; sums of shares are not looked at."""
    out = jnp.zeros((), bool)
    for name, constraint in constraints.items():
        value = getattr(params, name)
        match constraint:
            case Simplex():
                out |= jnp.any(value < 0)
            case Positive():
                out |= jnp.any(value <= 0)
            case Interval(low, high):
                out |= jnp.any((value < low) | (value > high))
            case SymmetricPD():
                out |= jnp.any(_pivots(value) <= 0)
    return out


def _pivots(matrices: jax.Array) -> jax.Array:
    """The pivots f[d, ...] of Gaussian elimination of matrices f[..., d, d]: all are positive if
    and only if a symmetric matrix is positive definite."""
    out = []
    for _ in range(matrices.shape[-1]):
        pivot, row = matrices[..., 0, 0], matrices[..., 0, 1:]
        out.append(pivot)
        below = row[..., :, None] * row[..., None, :]
        matrices = matrices[..., 1:, 1:] - below / pivot[..., None, None]
    return jnp.stack(out)


def n_free(constraints: Mapping[str, Constraint], params: object) -> int:
    """The number of free parameters; `params` has arrays, or their shapes."""
    total = 0
    for name, constraint in constraints.items():
        shape = getattr(params, name).shape
        match constraint:
            case Simplex():
                total += int(constraint.present(shape).sum()) - math.prod(shape[:-1])
            case SymmetricPD():
                total += math.prod(shape[:-2]) * (shape[-1] * (shape[-1] + 1) // 2)
            case _:
                total += math.prod(shape)
    return total


def complaint(constraint: Constraint, value: np.ndarray) -> str:
    """The requirement that a field breaks, as text; empty where it breaks none (host)."""
    if not np.isfinite(value).all():
        return "must be finite"
    match constraint:
        case Simplex():
            present = constraint.present(value.shape)
            gap = np.sum(np.where(present, value, 0), axis=-1) - 1
            fine = (value >= 0).all() and (np.abs(gap) < SLACK).all()
            return "" if fine else "must sum to 1 along the last axis, and not be negative"
        case Positive():
            return "" if (value > 0).all() else "must be positive"
        case Interval(low, high):
            fine = (value >= low).all() and (value <= high).all()
            return "" if fine else f"must lie between {low:g} and {high:g}"
        case SymmetricPD():
            return "" if _is_positive_definite(value) else "must be symmetric, positive definite"
        case Free():
            return ""


def _is_positive_definite(value: np.ndarray) -> bool:
    variances = np.diagonal(value, axis1=-2, axis2=-1)
    if not (variances > 0).all():
        return False
    # Scaled to correlations: in raw units, small columns would drown in the rounding of large ones.
    root = np.sqrt(variances)
    scaled = value / root[..., :, None] / root[..., None, :]
    other = scaled.swapaxes(-1, -2)
    symmetric = (np.abs(scaled - other) <= SLACK).all()
    return bool(symmetric) and bool((np.linalg.eigvalsh((scaled + other) / 2) > 0).all())
