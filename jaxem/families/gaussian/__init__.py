"""Gaussian components. `Gaussian(covariance_type)` picks the class; mclust codes are aliases."""

from typing import Any

from jaxem.families.gaussian.diag import DiagGaussian as DiagGaussian
from jaxem.families.gaussian.diag import SphericalGaussian as SphericalGaussian
from jaxem.families.gaussian.full import FullGaussian as FullGaussian
from jaxem.families.gaussian.params import GaussianParams as GaussianParams
from jaxem.families.gaussian.tied import KnownGaussian as KnownGaussian
from jaxem.families.gaussian.tied import TiedGaussian as TiedGaussian

_TYPES = {
    "full": FullGaussian,
    "tied": TiedGaussian,
    "diag": DiagGaussian,
    "spherical": SphericalGaussian,
    "known": KnownGaussian,
}
_MCLUST = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical", "V": "full"}


def Gaussian(covariance_type: str = "full", **options: Any):
    """Gaussian components with one of the covariance types full, tied, diag, spherical, known.

    `reg_covar` (a number, or f[d] per column, in squared units of x) is added to every variance
    after each M-step, which is scikit-learn's meaning. It is no part of the objective, which it can
    lower: steps of such a model are not refused for that. A `prior` (`NormalInverseWishart`, or
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
    return _TYPES[name](**options)
