"""Marginal and conditional distributions of Gaussian mixtures, and regression by them.

Given some columns, the others are a Gaussian mixture: component k has the conditional mean and
covariance of its Gaussian, and a weight proportional to π_k N(given; marginal of component k)
(Ghahramani and Jordan 1994, NIPS 6; Sung 2004, "Gaussian mixture regression and classification").
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.capabilities import offered
from jaxem.core.compiled import jitted
from jaxem.data.data import as_data
from jaxem.families import GaussianParams
from jaxem.families.gaussian import GaussianFamily, as_gaussian
from jaxem.families.gaussian.structure import GivenCovariance
from jaxem.models import Mixture, MixtureParams
from jaxem.numerics import einsum, inverse_factor
from jaxem.tools.arguments import columns_of, gaussian, in_own_precision, the_others


@in_own_precision
def marginal(
    model: Mixture, params: MixtureParams, columns: ArrayLike
) -> tuple[Mixture, MixtureParams]:
    """The mixture of some columns alone, in the order given: (model, params) of the same type.

    `columns` are static column numbers. Raises ValueError for columns that are not there.
    """
    params = gaussian(model, params, "marginal")
    keep = columns_of(columns, params.means.shape[1], "columns")
    return _marginal(model, params, keep)


@in_own_precision
def conditional(
    model: Mixture, params: MixtureParams, given_columns: ArrayLike, values: ArrayLike
) -> tuple[Mixture, MixtureParams]:
    """The mixture of the other columns, in their order, where the given ones have these values
    f[c]: (model, params) of the same type. NaN where the given columns are linearly dependent.

    For many values at once: `jax.vmap(lambda v: conditional(model, params, [0], v)[1])(values)`,
    or `regress` for mean and covariance alone. Raises ValueError for columns that are not there.
    """
    params = gaussian(model, params, "conditional")
    given, rest = _split(params, given_columns)
    values = jnp.atleast_1d(jnp.asarray(values, params.means.dtype))
    if values.shape != given.shape:
        raise ValueError(
            f"values must have shape {given.shape}, one per given column; got {values.shape}."
        )
    weights, means, covariances = _given(model, params, values[None], tuple(given), tuple(rest))
    form = as_gaussian(model.family).covariance.form
    covariances = form.conditional(params.covariances, rest, covariances)
    own = GaussianParams(means[0], covariances)
    return _same(model, covariances), MixtureParams(weights[0], own)


@in_own_precision
def regress(
    model: Mixture, params: MixtureParams, x_given: ArrayLike, given_columns: ArrayLike
) -> tuple[jax.Array, jax.Array]:
    """Mean f[m, q] and covariance f[m, q, q] of the q other columns, in their order, for each row
    f[m, c] of the given ones: Gaussian mixture regression. The covariance is that
    within components plus that between their means.

    NaN where the given columns are linearly dependent. Raises ValueError for columns that are not
    there and for rows of another width.
    """
    params = gaussian(model, params, "regress")
    given, rest = _split(params, given_columns)
    rows = as_data(x_given).x.astype(params.means.dtype)
    if rows.shape[1] != given.size:
        raise ValueError(
            f"x_given must have shape [m, {given.size}], one column per given column; got "
            f"{rows.shape}."
        )
    return _moments(*_given(model, params, rows, tuple(given), tuple(rest)))


@partial(jitted, static_argnames=("given", "rest"))
def _given(model, params, rows, given, rest):
    """Weights f[m, k] and means f[m, k, q] for rows f[m, c] of the given columns, and covariances
    f[k, q, q], equal for all rows."""
    known, known_params = _marginal(model, params, np.array(given))
    weights = known.predict_proba(known_params, rows)
    gain, covariances = _gains(model.family, params, np.array(given), np.array(rest))
    gap = rows[:, None, :] - params.means[:, np.array(given)][None]
    means = params.means[:, np.array(rest)][None] + einsum("kqc,mkc->mkq", gain, gap)
    return weights, means, covariances


@jitted
def _moments(weights, means, covariances):
    """Mean and covariance of the mixtures: within components plus between their means."""
    mean = einsum("mk,mkq->mq", weights, means)
    off = means - mean[:, None, :]
    between = einsum("mk,mki,mkj->mij", weights, off, off)
    return mean, einsum("mk,kij->mij", weights, covariances) + between


def _split(params: MixtureParams, given_columns: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    d = params.means.shape[1]
    given = columns_of(given_columns, d, "given_columns")
    return given, the_others(given, d, "given_columns")


def _marginal(model, params, keep) -> tuple[Mixture, MixtureParams]:
    own = as_gaussian(model.family).covariance.form.columns(params.covariances, keep)
    components = GaussianParams(params.means[:, keep], own)
    return _same(model, own), MixtureParams(params.weights, components)


def _same(model: Mixture, covariances: jax.Array) -> Mixture:
    """A mixture of the same type and size; settings of the fit (priors, ridge) do not go along."""
    structure = as_gaussian(model.family).covariance
    held = offered(structure, GivenCovariance)
    family = GaussianFamily(structure if held is None else held.holding(covariances))
    return Mixture(family, n_components=model.n_components)


def _gains(family, params, given, rest) -> tuple[jax.Array, jax.Array]:
    """Σ_rg Σ_gg⁻¹ f[k, q, c] and Σ_rr − Σ_rg Σ_gg⁻¹ Σ_gr f[k, q, q], by the factor of Σ_gg."""
    own = family.matrices(params.components)
    across, within = own[:, rest][:, :, given], own[:, rest][:, :, rest]
    w, _, ok = inverse_factor(own[:, given][:, :, given])
    half = einsum("kqc,kec->kqe", across, w)
    gain, rest_of = einsum("kqe,kec->kqc", half, w), within - einsum("kqe,kre->kqr", half, half)
    fine = (ok | (params.weights <= 0))[:, None, None]
    return jnp.where(fine, gain, jnp.nan), jnp.where(fine, rest_of, jnp.nan)
