"""The model that a fit carries, and its methods on new data."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxem.core.keys import as_key
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.types import Rows
from jaxem.data.blocks import ROWS, ahead, padded
from jaxem.data.data import Data
from jaxem.data.row_files import is_rows, open_rows

if TYPE_CHECKING:
    from jaxem.results.fit import Fit


@dataclass(frozen=True, eq=False)
class KnownModel:
    """A model as a static part of a fit. Two are equal where their models have the same structure
    and the same numbers, so that fits of equal models have one tree structure, and a program
    compiled for fits of one model is never run for fits of another."""

    model: Any
    soft: bool = True  # whether the fits maximise the likelihood: neither hard nor tempered

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KnownModel):
            return False
        if other.model is self.model:
            return other.soft == self.soft
        mine, structure = jax.tree.flatten(self.model)
        others, other_structure = jax.tree.flatten(other.model)
        return (other.soft, other_structure) == (self.soft, structure) and all(
            one is two or (np.result_type(one) == np.result_type(two) and np.array_equal(one, two))
            for one, two in zip(mine, others, strict=True)
        )

    def __hash__(self) -> int:
        return hash((jax.tree.structure(self.model), self.soft))


def model_of(fit: "Fit", what: str) -> Any:
    """The model of one fit. ValueError, for the method named `what`, where the fit does not know
    its model or `fit` is several fits."""
    if fit.known is None:
        raise ValueError(
            f"this fit does not know its model (a model that was traced, as an argument of jit or "
            f"vmap, is not kept): call {what} of the model with fit.params instead."
        )
    if np.ndim(fit.log_likelihood) != 0:
        raise ValueError(
            f"{what} takes one fit, and these are {np.shape(fit.log_likelihood)}: take one, as in "
            "fits.best() or fits[0]."
        )
    return fit.known.model


def ask(fit: "Fit", method: str, x: Rows) -> Any:
    """The result of a method of the model at x f[n, d], in the precision of the fit; of rows that
    are read in blocks, an iterator of results, one for each block."""
    model = model_of(fit, method)
    dtype = np.asarray(fit.log_likelihood).dtype
    if is_rows(x):
        return (_of_block(fit, method, block) for block in ahead(open_rows(x).blocks(ROWS)))
    make_room()
    with precision_of(dtype):
        x = x if isinstance(x, Tracer) else np.asarray(x)
        return getattr(model, method)(fit.params, jnp.asarray(x, dtype))


def _of_block(fit: "Fit", method: str, block: Data) -> np.ndarray:
    """The result for the rows of a block, computed for `ROWS` rows: one program for all blocks."""
    x = np.asarray(padded(block, ROWS, block.x.dtype).x)
    return np.asarray(ask(fit, method, x))[: len(block.x)]


def draw(fit: "Fit", key: jax.Array | int, n: int) -> tuple[jax.Array, jax.Array]:
    """n draws from the model, in the precision of the fit."""
    model = model_of(fit, "sample")
    make_room()
    with precision_of(np.asarray(fit.log_likelihood).dtype):
        return model.sample(as_key(key), fit.params, n)
