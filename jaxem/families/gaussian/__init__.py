"""Gaussian components: one family, whose covariances have one of five structures."""

import numpy as np
from jax.typing import ArrayLike

from jaxem.core.types import Number
from jaxem.families.gaussian.diagonal import Diagonal as Diagonal
from jaxem.families.gaussian.family import GaussianFamily as GaussianFamily
from jaxem.families.gaussian.family import as_gaussian as as_gaussian
from jaxem.families.gaussian.full import Full as Full
from jaxem.families.gaussian.known import Known as Known
from jaxem.families.gaussian.params import GaussianParams as GaussianParams
from jaxem.families.gaussian.priors import NormalInverseGamma, NormalInverseWishart
from jaxem.families.gaussian.spherical import Spherical as Spherical
from jaxem.families.gaussian.tied import Tied as Tied

_TYPES = {"full": Full, "tied": Tied, "diag": Diagonal, "spherical": Spherical, "known": Known}
_MCLUST = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical", "V": "full"}


def Gaussian(
    covariance_type: str = "full",
    *,
    reg_covar: Number = 0.0,
    prior: NormalInverseWishart | NormalInverseGamma | None = None,
    covariance: ArrayLike | None = None,
) -> GaussianFamily:
    """Gaussian components with one of the covariance types full, tied, diag, spherical, known.

    `reg_covar` (a number, or f[d] per column, in squared units of x) is added to every variance
    after each M-step, as in scikit-learn. It is no part of the objective and can lower it; steps of
    such a model are not refused for that. A `prior` (`NormalInverseWishart`, or
    `NormalInverseGamma` for diag and spherical) keeps EM ascending. `known` takes `covariance`, a
    matrix f[d, d] shared by all components. mclust's VVV, EEE, VVI, VII are accepted.

    >>> jaxem.Gaussian("VVV")
    Gaussian('full')
    >>> jaxem.Mixture(jaxem.Gaussian("tied"), n_components=3).n_parameters(d=2)
    11
    """
    name = _MCLUST.get(covariance_type, covariance_type)
    if name not in _TYPES:
        known = ", ".join([*_TYPES, *_MCLUST])
        raise ValueError(f"covariance_type must be one of {known}; got {covariance_type!r}.")
    if (name == "known") != (covariance is not None):
        raise TypeError("covariance= is what Gaussian('known') needs, and no other type takes.")
    if name != "known" or covariance is None:
        return GaussianFamily(_TYPES[name](), reg_covar, prior)
    if prior is not None or np.any(np.asarray(reg_covar) != 0):
        raise TypeError(
            "Gaussian('known') takes neither prior nor reg_covar: its "
            "covariance is given, not estimated."
        )
    return GaussianFamily(Known(covariance))
