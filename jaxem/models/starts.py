"""Starts of a mixture, as users give them: a name, a callable, labels, responsibilities."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.types import Init, Size
from jaxem.data.data import Data
from jaxem.models import mixture_steps
from jaxem.models.initializers import INITIALIZERS, responsibilities
from jaxem.models.params import MixtureParams

if TYPE_CHECKING:
    from jaxem.models.mixture import Mixture


def start(
    model: "Mixture", key: jax.Array, data: Data, init: Init, active: Size | None = None
) -> MixtureParams:
    """Starting parameters of data in standard units, by the named initialiser, a callable, or
    responsibilities f[n, k]; components from `active` on are switched off."""
    if hasattr(init, "shape"):
        return mixture_steps.seed_within(model, data, jnp.asarray(init, data.x.dtype))
    embedded = model.family.embed(jnp.asarray(data.x))
    resp = responsibilities(init, key, embedded, data.weight, model.n_components, active)
    return mixture_steps.seed_within(model, data, resp)


def read_init(model: "Mixture", init: Init, n: int) -> Init:
    """A name or callable unchanged; labels i[n] or responsibilities f[n, k] as responsibilities.

    Raises ValueError, listing the choices, for anything else.
    """
    if callable(init) or (isinstance(init, str) and init in INITIALIZERS):
        return init
    if isinstance(init, str) or init is None:
        names = ", ".join(INITIALIZERS)
        raise ValueError(f"init must be one of {names}, a callable or parameters; got {init!r}.")
    return given_responsibilities(init, n, model.n_components)


def given_responsibilities(init: Init, n: int, k: int) -> np.ndarray:
    """Labels or responsibilities as f[n, k]; ValueError for anything else."""
    r = np.asarray(init)
    wrong = _wrong(r, n, k)
    if wrong:
        raise ValueError(
            f"init must be labels ({n},) from 0 to {k - 1}, responsibilities ({n}, {k}) that are "
            f"finite and not negative, or parameters; got {wrong}."
        )
    return r if r.ndim == 2 else np.eye(k)[r.astype(int)]


def _wrong(r: np.ndarray, n: int, k: int) -> str:
    """The fault of an array that is neither labels nor responsibilities; empty if there is none."""
    if r.shape not in ((n,), (n, k)) or r.dtype.kind not in "buif":
        return f"shape {r.shape}, {r.dtype}"
    if r.ndim == 1 and not (r.size and r.min() >= 0 and r.max() < k):
        return f"labels from {r.min()} to {r.max()}" if r.size else "no labels"
    rows = np.flatnonzero(~(np.isfinite(r) & (r >= 0)).reshape(n, -1).all(axis=1))
    return f"row {rows[0]}: {r[rows[0]]}" if rows.size else ""
