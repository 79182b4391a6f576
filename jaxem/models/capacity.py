"""Cost and kernel of a mixture, padding with components, the signature that tells optima apart."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from jaxem.core.constraints import shared_fields
from jaxem.core.model_protocol import Compute, Cost
from jaxem.core.trees import replace
from jaxem.core.types import DType, Init
from jaxem.data.data import Data
from jaxem.kernels import choose
from jaxem.models.initializers import INITIALIZERS
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
    """The kernel asked for; None: the default for this platform and problem."""
    size = cost(model, data.x.shape[-1], data.x.dtype)
    check_precision(precision or "float32")
    chosen = choose(platform, size.per_unit, size.features, lanes, data.x.dtype, kernel)
    return Compute(chosen, precision or "float32")


def size(model: "Mixture") -> int:
    """The number of components."""
    return model.n_components


def padded(model: "Mixture", size: int) -> "Mixture":
    """The model with extra components, to be switched off. ValueError for a model with priors."""
    if model.weight_prior is not None or model.family.prior is not None:
        raise ValueError("pad_to needs a model without priors: a component that is off has none.")
    return replace(model, n_components=size)


def can_pad(model: "Mixture", init: Init) -> bool:
    """Whether the mixture has no priors and holds nothing fixed, and `init` picks centres one after
    the other."""
    centres = isinstance(init, str) and init in INITIALIZERS and init != "random"
    free = model.weight_prior is None and model.family.prior is None and not model.frozen
    return centres and free


def unpadded(model: "Mixture", params: MixtureParams, like: "Mixture") -> MixtureParams:
    """Parameters f[lanes, ...] without the components beyond those of the model `like`."""
    return params.take(np.arange(like.n_components), shared_fields(model.family.constraints()))


def filled(model: "Mixture", params: MixtureParams, size: int) -> MixtureParams:
    """Parameters with `size` components: copies of the first, of weight 0, after the model's."""
    number = np.arange(size)
    on = number < model.n_components
    longer = params.take(np.where(on, number, 0), shared_fields(model.family.constraints()))
    return replace(longer, weights=np.where(on, longer.weights, 0))


def signature(model: "Mixture", params: MixtureParams) -> np.ndarray:
    """Sorted weights f[..., k]: equal for all fits of one optimum, whatever the order of
    components."""
    return np.sort(np.asarray(params.weights), axis=-1)


def can_propose(model: "Mixture") -> bool:
    """Whether there are components for a move: two to merge and one to split."""
    return model.n_components > 2 and not model.frozen
