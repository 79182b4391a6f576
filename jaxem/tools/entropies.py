"""Entropy of responsibilities, and the effective number of components."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from jaxem.data.data import as_data
from jaxem.models import Mixture, MixtureParams
from jaxem.tools.arguments import in_own_precision, one_fit


class Entropy(NamedTuple):
    """Entropy of responsibilities in nats, f[] each."""

    total: jax.Array  # Σ w_i H(r_i)
    mean: jax.Array  # per unit of weight
    normalised: jax.Array  # mean / log k: 0 for certain rows, 1 for equal responsibilities


@in_own_precision
def entropy(
    model: Mixture, params: MixtureParams, x: ArrayLike, sample_weight: ArrayLike | None = None
) -> Entropy:
    """Entropy of the responsibilities of rows x f[n, d]: total, mean and normalised.

    The total is the EN(τ) of Celeux and Soromenho (1996, J. Classif. 13, 195), half the difference
    of `icl_entropy` and BIC. One minus the normalised value is latent class analysis'
    "relative entropy". Raises ValueError for parameters of several fits.
    """
    one_fit(params, "entropy")
    data = as_data(x, sample_weight)
    total = jnp.sum(data.weight * plogp(model.predict_proba(params, data.x)))
    mean = total / jnp.sum(data.weight)
    largest = jnp.log(jnp.asarray(max(model.n_components, 2), mean.dtype))
    return Entropy(total, mean, mean / largest)


@in_own_precision
def effective_components(params: MixtureParams) -> jax.Array:
    """exp of the entropy of the weights f[...]: k for k equal weights; a weight near 0 adds nothing
    (Hill 1973, Ecology 54, 427, of order 1). Leading axes of starts or data sets are kept."""
    return jnp.exp(plogp(jnp.asarray(params.weights)))


def plogp(p: jax.Array) -> jax.Array:
    """−Σ p log p over the last axis, 0 log 0 = 0."""
    positive = p > 0
    return -jnp.sum(jnp.where(positive, p * jnp.log(jnp.where(positive, p, 1)), 0), axis=-1)
