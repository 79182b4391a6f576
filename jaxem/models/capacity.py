"""What a mixture costs, how it grows, and what tells its optima apart."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxem.core.constraints import shared_fields
from jaxem.core.model_protocol import Compute, Cost
from jaxem.core.trees import replace
from jaxem.core.types import DType
from jaxem.data.data import Data
from jaxem.kernels import choose
from jaxem.models.mixture_steps import features
from jaxem.models.params import MixtureParams
from jaxem.numerics import check_precision

if TYPE_CHECKING:
    from jaxem.models.mixture import Mixture


def cost(model: "Mixture", d: int, dtype: DType) -> Cost:
    """K responsibilities per row and fit, P features per row."""
    row = jax.ShapeDtypeStruct((1, d), dtype)
    return Cost(model.n_components, features.eval_shape(model.family, row).shape[0])


def compute_for(
    model: "Mixture",
    data: Data,
    lanes: int,
    kernel: str | None,
    precision: str | None,
    platform: str,
) -> Compute:
    """The kernel that was asked for, or the one for this platform and problem."""
    own = cost(model, data.x.shape[-1], data.x.dtype)
    check_precision(precision or "float32")
    chosen = choose(platform, own.per_unit, own.features, lanes, data.x.dtype, kernel)
    return Compute(chosen, precision or "float32")


def size(model: "Mixture") -> int:
    """The number of components."""
    return model.n_components


def padded(model: "Mixture", size: int) -> "Mixture":
    """The model with components added, to be switched off. ValueError where priors forbid it."""
    if model.weight_prior is not None or model.family.prior is not None:
        raise ValueError("pad_to needs a model without priors: a component that is off has none.")
    return replace(model, n_components=size)


def unpadded(model: "Mixture", params: MixtureParams, like: "Mixture") -> MixtureParams:
    """Parameters f[lanes, ...] with the components of the model `like` alone."""
    return params.take(np.arange(like.n_components), shared_fields(model.family.constraints()))


def signature(model: "Mixture", params: MixtureParams) -> np.ndarray:
    """Sorted weights f[..., k]: fits of one optimum share them, in whatever order."""
    return np.sort(np.asarray(params.weights), axis=-1)


def can_propose(model: "Mixture") -> bool:
    """Whether there are components to exchange: two to merge and one to split."""
    return model.n_components > 2 and not model.frozen
