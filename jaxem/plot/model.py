"""Which mixture parameters belong to: a `Fit` keeps none, but shapes and types tell."""

from typing import Any

import numpy as np

import jaxem
from jaxem.plot.gaussians import is_gaussian


def model_of(params: Any, model: Any = None) -> Any:
    """`model` where it is given, else the mixture whose density these parameters f[k, ...] have.

    ValueError for parameters that do not tell (a binomial's trials, a family of your own).
    """
    if model is not None:
        return model
    components, k = params.components, int(np.shape(params.weights)[-1])
    if is_gaussian(params):
        return jaxem.Mixture(jaxem.Gaussian(covariance_type(params)), n_components=k)
    if isinstance(components, jaxem.PoissonParams):
        return jaxem.Mixture(jaxem.Poisson(), n_components=k)
    if isinstance(components, jaxem.ExponentialParams):
        return jaxem.Mixture(jaxem.Exponential(), n_components=k)
    if isinstance(components, jaxem.CategoricalParams):
        return jaxem.Mixture(jaxem.Categorical(_levels(components.probabilities)), k)
    raise ValueError(
        f"{type(components).__name__} do not tell their model: give it, "
        "fits.plot.responsibilities(x, model=model)."
    )


def _levels(probabilities: Any) -> tuple[int, ...]:
    """How many categories of each column f[.., k, d, c] have a probability, up to the last."""
    p = np.asarray(probabilities)
    most = p.reshape(-1, *p.shape[-2:]).max(axis=0)
    return tuple(int(np.flatnonzero(column > 0).max(initial=0)) + 1 for column in most)


def covariance_type(params: Any) -> str:
    """full, tied, diag or spherical, by the shape of the covariances; lane axes may lead.

    With as many components as columns, one matrix for all and a variance for each have the same
    shape: a matrix is the one that is symmetric.
    """
    means, c = np.asarray(params.means), np.asarray(params.covariances)
    k, d = means.shape[-2:]
    own = c.ndim - (means.ndim - 2)
    if own != 2:
        return "full" if own == 3 else "spherical"
    if k != d:
        return "diag" if c.shape[-2] == k else "tied"
    finite = np.nan_to_num(c)
    symmetric = d > 1 and np.allclose(finite, np.swapaxes(finite, -1, -2), rtol=1e-5, atol=0)
    return "tied" if symmetric else "diag"
