"""Standard units: data with mean 0 and variance 1 in each column; parameters are mapped back.

Counts are moved to a base point and not scaled; positive columns are scaled by their mean and not
moved. Results of a fit depend on the scaling only by rounding.
"""

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered, provides
from jaxem.core.protocols import CountBase, Family, Rescalable
from jaxem.core.trees import pytree, replace
from jaxem.core.types import Array, Params, Total

#: Values processed at a time on the host: few enough that their float64 copy stays in a core's
#: cache, many enough that NumPy's overhead per call is small.
BLOCK = 1 << 16

#: Rows that are joined into one: NumPy's inner loop runs along a row, and is slow if rows are
#: short.
TOGETHER = 64


@pytree
class Scaling:
    """z = (x − shift) / scale; leading axes for several data sets."""

    shift: Array  # f[..., d]
    scale: Array  # f[..., d]


class OfFamily(Protocol):
    """A model that has a family, such as a mixture."""

    @property
    def family(self) -> Family:
        """The family of its components."""
        ...


M = TypeVar("M", bound=OfFamily)


def scaling_of(
    family: Family, x: np.ndarray, weight: np.ndarray | None, total: Total | None = None
) -> Scaling:
    """The scaling of x f[n, d], computed in float64 on the host; identity for families that are not
    scaled."""
    weight = np.ones(len(x)) if weight is None else np.asarray(weight)
    scalings = scalings_of(family, x[None], weight[None], total)
    return Scaling(scalings.shift[0], scalings.scale[0])


def scalings_of(
    family: Family, x: np.ndarray, weight: np.ndarray, total: Total | None = None
) -> Scaling:
    """Scalings f[s, d] of data sets x f[s, n, d], padded with rows of weight 0 in weight."""
    s, _, d = x.shape
    scaled, counts = offered(family, Rescalable), offered(family, CountBase)
    if scaled is None:
        return Scaling(np.zeros((s, d), x.dtype), np.ones((s, d), x.dtype))
    parts = [_moments(x[own], weight[own], total) for own in _blocks(x)]
    mean, square = (np.concatenate(part) for part in zip(*parts, strict=True))
    if counts is not None:
        base = np.asarray(counts.base_of(mean), x.dtype)
        far = np.zeros((s, d))
        if base.any():
            present = weight[:, :, None] > 0
            far += np.sum(counts.far_below(x, base[:, None]) & present, axis=1)
        far = far if total is None else total(far)
        return Scaling(np.where(far == 0, base, 0), np.ones_like(base))
    return _scaling(np, scaled.scale_kind, mean, square)


def scaling_within(family: Family, x: jax.Array, weight: jax.Array) -> Scaling:
    """The scaling of x f[n, d], traced. No derivative goes through it, since results do not depend
    on it."""
    scaled, counts = offered(family, Rescalable), offered(family, CountBase)
    if scaled is None:
        return Scaling(jnp.zeros_like(x[0]), jnp.ones_like(x[0]))
    x, weight = jax.lax.stop_gradient((x, weight))
    w = (weight / jnp.sum(weight))[:, None]
    # In two passes: differences from a mean are exact even where rounding has spoilt the mean.
    mean = jnp.sum(w * x, axis=0)
    mean = mean + jnp.sum(w * (x - mean[None, :]), axis=0)
    if counts is not None:
        base = counts.base_of(mean)
        far = jnp.any(counts.far_below(x, base[None, :]) & (weight > 0)[:, None], axis=0)
        return Scaling(jnp.where(far | ~jnp.isfinite(base), 0, base), jnp.ones_like(base))
    square = jnp.sum(w * (x - mean[None, :]) ** 2, axis=0)
    scaling = _scaling(jnp, scaled.scale_kind, mean[None], square[None])
    shift, scale = scaling.shift[0], scaling.scale[0]
    # A column that is not finite keeps its units; its fits fail later.
    sane = jnp.isfinite(shift) & jnp.isfinite(scale)
    return Scaling(jnp.where(sane, shift, 0), jnp.where(sane, scale, 1))


def _scaling(xp: ModuleType, kind: str, mean: Array, square: Array) -> Scaling:
    """Scalings f[s, d] of a kind from means and mean squares, by NumPy or `jax.numpy` (xp). A
    constant column keeps its units: its fits end SINGULAR, as they should."""
    if kind not in ("feature", "scalar", "positive"):
        raise ValueError(
            "scale_kind must be 'feature', 'scalar', 'positive', or 'counts' with base_of and "
            f"far_below; got {kind!r}."
        )
    if kind == "positive":
        return Scaling(xp.zeros_like(mean), xp.where(mean > 0, mean, 1))
    if kind == "scalar":
        square = xp.broadcast_to(square.mean(axis=1, keepdims=True), square.shape)
    return Scaling(mean, xp.sqrt(xp.where(square > 0, square, 1.0)).astype(mean.dtype))


def _blocks(x: np.ndarray) -> Iterator[slice]:
    """Slices of the data sets f[s, n, d] to process at a time."""
    step = max(1, BLOCK // max(1, x[0].size))
    return (slice(i, i + step) for i in range(0, len(x), step))


def _moments(x: np.ndarray, weight: np.ndarray, total: Total | None) -> tuple[np.ndarray, ...]:
    """Means f[s, d] in x's dtype, and mean squares f64[s, d] of the differences from them."""
    s, n, d = x.shape
    step = max(TOGETHER, BLOCK // (s * d))
    whole = weight.sum(axis=1, dtype=float)[:, None]

    def mean(change: Callable[[np.ndarray], object]) -> np.ndarray:
        sums = np.zeros((s, d))
        for own in (slice(i, i + step) for i in range(0, n, step)):
            rows = x[:, own].astype(float, order="C")
            change(rows)
            sums += (weight[:, None, own].astype(float) @ rows)[:, 0]
        return sums / whole if total is None else total(sums) / total(whole)

    def squares(rows: np.ndarray) -> None:
        _by_row(np.subtract, rows, shift)
        np.square(rows, out=rows)

    shift = mean(lambda rows: None).astype(x.dtype)
    return shift, mean(squares)


def _by_row(operation: np.ufunc, x: np.ndarray, row: np.ndarray) -> None:
    """x f[s, n, d] becomes `operation(x, row)`, in place, with row f[s, d] for all rows of a
    set."""
    s, n, d = x.shape
    begun = 0
    while begun < n:
        together = min(TOGETHER, 1 << (n - begun).bit_length() - 1)
        ended = n - (n - begun) % together
        wide = x[:, begun:ended].reshape(s, -1, together * d)
        operation(wide, np.tile(row, together)[:, None], out=wide, casting="same_kind")
        begun = ended


def standardize(x: np.ndarray, scaling: Scaling, out: np.ndarray | None = None) -> np.ndarray:
    """z = (x − shift) / scale in x's dtype, of one data set f[n, ..., d] with a scaling f[d], or of
    several f[s, n, ..., d] with scalings f[s, d]. The result is written into `out` if given, a
    C-contiguous array, which may be x itself."""
    out = np.empty(x.shape, x.dtype) if out is None else out
    shift, scale = np.atleast_2d(scaling.shift, scaling.scale)
    sets, z = (array.reshape(len(shift), -1, x.shape[-1]) for array in (x, out))
    for own in _blocks(z):
        if x is not out:
            z[own] = sets[own]
        _by_row(np.subtract, z[own], shift[own])
        _by_row(np.divide, z[own], scale[own])
    return out


def rescaled(model: M, scaling: Scaling) -> M:
    """The model with priors and given parameters in the units of z."""
    family = offered(model.family, Rescalable)
    if family is None:
        return model
    return replace(model, family=family.standardized(scaling.shift, scaling.scale))


def to_scaled(model: OfFamily, params: Params, scaling: Scaling) -> Params:
    """Parameters of x as parameters of z."""
    family = offered(model.family, Rescalable)
    if family is None:
        return params
    inner = family.standardize(params.components, scaling.shift, scaling.scale)
    return replace(params, components=inner)


def from_scaled(model: OfFamily, params: Params, scaling: Scaling) -> Params:
    """Parameters of z as parameters of x."""
    family = offered(model.family, Rescalable)
    if family is None:
        return params
    inner = family.unstandardize(params.components, scaling.shift, scaling.scale)
    return replace(params, components=inner)


def log_jacobian(model: OfFamily, scaling: Scaling) -> jax.Array:
    """Log density of a row in z minus its log density in x f[]; 0 for counts."""
    scaled = provides(type(model.family), Rescalable)
    return jnp.sum(jnp.log(scaling.scale)) if scaled else jnp.zeros(())
