"""The model of a fit, found from types and shapes of its parameters; a `Fit` keeps none."""

import numpy as np

import jaxem
from jaxem.models import Mixture, MixtureParams
from jaxem.plot.gaussians import is_gaussian


def model_of(params: MixtureParams, model: Mixture | None = None) -> Mixture:
    """`model` where it is given, else the mixture of these parameters f[k, ...].

    ValueError where parameters do not determine it: a binomial's trials, a family of your own.
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
        return jaxem.Mixture(jaxem.Categorical(_levels(np.asarray(components.probabilities))), k)
    raise ValueError(
        f"{type(components).__name__} do not tell their model: give it, "
        "fits.plot.responsibilities(x, model=model)."
    )


def _levels(probabilities: np.ndarray) -> tuple[int, ...]:
    """For each column of f[.., k, d, c], 1 + the last category of positive probability."""
    most = probabilities.reshape(-1, *probabilities.shape[-2:]).max(axis=0)
    return tuple(int(np.flatnonzero(column > 0).max(initial=0)) + 1 for column in most)


def covariance_type(params: MixtureParams) -> str:
    """full, tied, diag or spherical, by the shape of the covariances; lane axes may lead.

    With as many components as columns, "tied" and "diag" have the same shape; covariances are
    "tied" where they are symmetric.
    """
    means, c = np.asarray(params.means), np.asarray(params.covariances)
    k, d = means.shape[-2:]
    dimensions = c.ndim - (means.ndim - 2)
    if dimensions != 2:
        return "full" if dimensions == 3 else "spherical"
    if k != d:
        return "diag" if c.shape[-2] == k else "tied"
    finite = np.nan_to_num(c)
    symmetric = d > 1 and np.allclose(finite, np.swapaxes(finite, -1, -2), rtol=1e-5, atol=0)
    return "tied" if symmetric else "diag"
