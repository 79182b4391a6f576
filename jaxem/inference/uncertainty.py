"""Standard errors from the observed information of the model's log-likelihood.

The information is minus the matrix of second derivatives at the fitted parameters (Efron and
Hinkley 1978, Biometrika 65, 457; for mixtures Louis 1982, J. R. Stat. Soc. B 44, 226, whose
"complete minus missing" information it equals).
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxem.core.capabilities import provides
from jaxem.core.compiled import jitted
from jaxem.core.model_protocol import Labelled, Model
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.settings import Settings, settings_of
from jaxem.core.types import Params, Rows
from jaxem.data.validate import host_data
from jaxem.inference.parameter_space import FIXED, FREE, directions
from jaxem.numerics import einsum

#: Entries of one array of derivatives, which bounds the number of rows differentiated at once.
ENTRIES = 1 << 22

#: Eigenvalue of the information, scaled to a unit diagonal, below which its direction is unknown.
SINGULAR = 1e-8


def standard_errors(
    model: Model, params: Params, x: Rows, sample_weight: Rows = None, labels: Rows = None
) -> Params:
    """The standard error of every parameter, in the shape of the parameters (host, float64).

    `params` are those of one fit that has converged on x f[n, d]; weights count as repeated rows.
    With a prior, errors are standard deviations of the posterior, by its curvature. Frozen and
    given parameters have error 0. Weights and rates at the end of their range are held fixed, and
    their error is NaN. The error is also NaN for parameters that the data do not determine, where
    the information is singular. A RuntimeWarning says how many errors are NaN. Any family.
    Raises ValueError for data or settings that cannot be judged.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> errors = jaxem.standard_errors(model, fits.best().params, x)
    >>> [round(float(e), 3) for e in errors.weights]
    [0.029, 0.029]
    """
    data = host_data(x, sample_weight, labels)
    model, asked, data = settings_of(model, Settings(), data)
    model.validate(data)
    model.validate_settings(data.x.shape[-1])
    array, weight = np.asarray(data.x), np.asarray(data.weight, float)
    label = None if data.label is None else np.asarray(data.label, np.int32)
    blank = jax.eval_shape(lambda: model.blank(array.shape[-1], np.float32))
    want, got = (jax.tree.map(np.shape, tree) for tree in (blank, params))
    if got != want:
        raise ValueError(
            f"standard_errors takes the parameters of one fit, of shapes {want}; got {got}. Take "
            "one, as in fits.best().params."
        )
    if label is not None and not provides(type(model), Labelled):
        raise ValueError(f"labels need a model with log_joint: {type(model).__name__} has none.")
    if (asked.assignment or "soft") != "soft" or asked.exponent is not None:
        raise ValueError(
            "standard errors are those of a maximum of the likelihood: they need "
            "assignment='soft' and exponent=None."
        )
    make_room()
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    basis, kind = directions(model, wide, array.shape[-1])
    flat = np.zeros(kind.shape)
    if len(basis):
        rows = (array.astype(float), weight, label)
        information = _information_of(model, wide, basis, rows)
        flat = _errors(information, basis)
    flat = np.where(kind == FIXED, 0, np.where(kind == FREE, flat, np.nan))
    _tell(flat)
    with precision_of(np.float64):
        return jax.device_get(ravel_pytree(wide)[1](jnp.asarray(flat)))


def _information_of(model: Model, params: Params, basis: np.ndarray, rows: tuple) -> np.ndarray:
    """Minus the second derivatives of log-likelihood and log prior f[p, p], by blocks of rows."""
    x, weight, label = rows
    width = len(basis) * model.cost(x.shape[-1], float).per_unit * x[0].size
    size = int(np.clip(ENTRIES // width, 8, len(x)))
    missing = -len(x) % size
    index = np.concatenate([np.arange(len(x)), np.zeros(missing, int)])
    weight = np.concatenate([weight, np.zeros(missing)])
    with precision_of(np.float64):
        blocks = (
            jnp.asarray(x[index].reshape(-1, size, *x.shape[1:])),
            jnp.asarray(weight.reshape(-1, size)),
            None if label is None else jnp.asarray(label[index].reshape(-1, size)),
        )
        model = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), model)
        return -np.asarray(_curvature(model, params, jnp.asarray(basis), blocks))


@jitted
def _curvature(model, params, basis, blocks):
    flat, unravel = ravel_pytree(params)

    def at(t):
        return unravel(flat + einsum("p,pm->m", t, basis))

    def level(t, x, weight, label):
        if label is None:
            return jnp.sum(weight * model.log_prob(at(t), x))
        joint = model.log_joint(at(t), x)
        known = jnp.take_along_axis(joint, jnp.maximum(label, 0)[:, None], axis=1)[:, 0]
        rows = jnp.where(label >= 0, known, jax.nn.logsumexp(joint, axis=1))
        return jnp.sum(weight * rows)

    here = jnp.zeros(basis.shape[:1], basis.dtype)

    def add(total, block):
        return total + jax.hessian(level)(here, *block), None

    # A model without a prior may answer with a number that does not depend on t.
    start = jax.hessian(lambda t: model.log_prior(at(t)) + 0 * jnp.sum(t))(here)
    return jax.lax.scan(add, start, blocks)[0]


def _errors(information: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Standard errors f[m] of all entries; NaN for entries that move along an unknown direction."""
    size = np.sqrt(np.abs(np.diag(information)))
    size = np.where(np.isfinite(size) & (size > 0), size, 1.0)
    scaled = information / np.outer(size, size)
    if not np.isfinite(scaled).all():
        return np.full(basis.shape[1], np.nan)
    values, vectors = np.linalg.eigh(0.5 * (scaled + scaled.T))
    known = values > SINGULAR
    loads = np.einsum("pe,pm->em", vectors, basis / size[:, None], optimize=True)
    variance = np.sum(loads[known] ** 2 / values[known, None], axis=0)
    unknown = np.sum(loads[~known] ** 2, axis=0) > 1e-6 * np.sum(loads**2, axis=0)
    return np.where(unknown, np.nan, np.sqrt(variance))


def _tell(flat: np.ndarray) -> None:
    """Warn of parameters without a standard error."""
    lost = int(np.isnan(flat).sum())
    if lost:
        warnings.warn(
            f"{lost} of {flat.size} parameters have no standard error (NaN): they stand at the end "
            "of their range, belong to a component that is off, or the data do not determine them "
            "(the information is singular). Use fewer components, a simpler covariance, or fit to "
            "a smaller tol.",
            RuntimeWarning,
            stacklevel=3,
        )
