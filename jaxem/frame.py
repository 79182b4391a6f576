"""The standardised frame: fit where the data have mean 0 and variance 1, map back exactly."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.pytree import pytree, replace
from jaxem.result import Fit

#: Rows taken at a time on the host, so that float64 copies of float32 data stay small.
_ROWS = 1 << 16


@pytree
class Frame:
    """z = (x − shift) / scale; leading axes for several data sets."""

    shift: Any  # f[..., d]
    scale: Any  # f[..., d]


#: Adds up an array over the processes that hold rows of one data set.
Total = Callable[[np.ndarray], np.ndarray]


def frame_of(
    family: Any, x: np.ndarray, weight: np.ndarray | None, total: Total | None = None
) -> Frame:
    """The frame of x f[n, d], computed in float64 on the host; identity for unscaled families."""
    weight = np.ones(len(x)) if weight is None else np.asarray(weight)
    frames = frames_of(family, x[None], weight[None], total)
    return Frame(frames.shift[0], frames.scale[0])


def frames_of(family: Any, x: np.ndarray, weight: np.ndarray, total: Total | None = None) -> Frame:
    """Frames f[s, d] of data sets x f[s, n, d], padded with rows of weight 0 in weight f[s, n]."""
    s, n, d = x.shape
    kind = getattr(family, "scale_kind", "none")
    if kind == "none":
        return Frame(np.zeros((s, d), x.dtype), np.ones((s, d), x.dtype))
    step = max(1, _ROWS // s)
    parts = [slice(i, i + step) for i in range(0, n, step)]

    def mean(of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        sums = sum(weight[:, None, p].astype(float) @ of(x[:, p].astype(float)) for p in parts)
        sums, whole = np.asarray(sums)[:, 0], weight.sum(axis=1, dtype=float)[:, None]
        return sums / whole if total is None else total(sums) / total(whole)

    shift = mean(lambda rows: rows).astype(x.dtype)
    square = mean(lambda rows: (rows - shift[:, None].astype(float)) ** 2)
    if kind == "scalar":
        square = np.repeat(square.mean(axis=1, keepdims=True), d, axis=1)
    # A constant column keeps its units: its fits end SINGULAR, as they should.
    return Frame(shift, np.sqrt(np.where(square > 0, square, 1.0)).astype(x.dtype))


def standardize(x: np.ndarray, frame: Frame) -> np.ndarray:
    """z of x's dtype; the difference is exact before it is scaled."""
    shift, scale = (
        leaf if leaf.ndim == 1 else leaf[:, None] for leaf in (frame.shift, frame.scale)
    )
    return ((x - shift) / scale).astype(x.dtype)


def standardized_model(model: Any, frame: Frame) -> Any:
    """The model whose priors and given parameters are those of z."""
    if not model.family_is_scaled:
        return model
    return replace(model, family=model.family.standardized(frame.shift, frame.scale))


def standardized_params(model: Any, params: Any, frame: Frame) -> Any:
    """Parameters of x as parameters of z."""
    if not model.family_is_scaled:
        return params
    inner = model.family.standardize(params.components, frame.shift, frame.scale)
    return replace(params, components=inner)


def restore(model: Any, fit: Fit, frame: Frame, weight: jax.Array) -> Fit:
    """A fit of z as a fit of x: parameters mapped, the Jacobian paid by the likelihood."""
    if not model.family_is_scaled:
        return fit
    components = model.family.unstandardize(fit.params.components, frame.shift, frame.scale)
    jacobian = weight * jnp.sum(jnp.log(frame.scale))
    return replace(
        fit,
        params=replace(fit.params, components=components),
        log_likelihood=fit.log_likelihood - jacobian,
        objective=fit.objective - jacobian,
        trace=None if fit.trace is None else fit.trace - jacobian,
    )
