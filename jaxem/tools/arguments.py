"""Argument checks and precision shared by all tools."""

from collections.abc import Callable
from functools import wraps

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.families import GaussianParams
from jaxem.families.gaussian import GaussianFamily
from jaxem.models import Mixture, MixtureParams


def in_own_precision(function: Callable) -> Callable:
    """Decorate `function`: where any argument is float64 it computes in float64, even if JAX's
    default is float32, and its results are NumPy arrays, which no later operation narrows."""

    @wraps(function)
    def call(*args, **kwargs):
        make_room()
        leaves = jax.tree.leaves((args, kwargs))
        wide = any(getattr(leaf, "dtype", None) == np.float64 for leaf in leaves)
        if not wide or jax.config.jax_enable_x64:  # type: ignore[attr-defined]
            return function(*args, **kwargs)
        with precision_of(np.float64):
            return jax.device_get(function(*args, **kwargs))

    return call


def gaussian(model: Mixture, params: MixtureParams, what: str) -> MixtureParams:
    """The parameters as JAX arrays; ValueError unless they are of one mixture of Gaussians."""
    if not isinstance(model.family, GaussianFamily):
        name = type(model.family).__name__
        raise ValueError(f"{what} needs a mixture of Gaussians; got one of {name}.")
    one_fit(params, what)
    c = params.components
    components = GaussianParams(jnp.asarray(c.means), jnp.asarray(c.covariances))
    return MixtureParams(jnp.asarray(params.weights), components)


def one_fit(params: MixtureParams, what: str) -> None:
    """ValueError for parameters with axes of starts or data sets."""
    if np.ndim(params.weights) != 1:
        raise ValueError(
            f"{what} takes the parameters of one fit, weights f[k]; got weights of shape "
            f"{np.shape(params.weights)}. Take one, as in fits.best().params, or use jax.vmap."
        )


def columns_of(columns: ArrayLike, d: int, name: str) -> np.ndarray:
    """Column numbers i[c], counted from 0; ValueError unless they are different and below d."""
    numbers = np.atleast_1d(np.asarray(columns))
    if numbers.size == 0 or numbers.dtype.kind not in "iu":
        raise ValueError(f"{name} must be column numbers, at least one; got {columns!r}.")
    positions = np.where(numbers < 0, numbers + d, numbers)
    if (positions < 0).any() or (positions >= d).any():
        raise ValueError(f"{name} must lie between 0 and {d - 1}; got {columns!r}.")
    if len(set(positions.tolist())) < positions.size:
        raise ValueError(f"{name} names a column twice: {columns!r}.")
    return positions


def the_others(given: np.ndarray, d: int, name: str) -> np.ndarray:
    """The other columns of d, in their order; ValueError where there is none."""
    rest = np.setdiff1d(np.arange(d), given)
    if rest.size == 0:
        raise ValueError(f"{name} names all {d} columns: none is left to speak about.")
    return rest


def same_space(model: Mixture, q: MixtureParams, d: int) -> None:
    """ValueError unless q are parameters of `model` over d columns."""
    blank = jax.eval_shape(lambda: model.blank(d, np.float32))
    want, got = (jax.tree.map(np.shape, tree) for tree in (blank, q))
    if want != got:
        fields = vars(got.components).items()
        shapes = ", ".join(f"{name} of shape {shape}" for name, shape in fields)
        raise ValueError(f"p and q must be mixtures over the same {d} columns; q has {shapes}.")
