"""log π_k p(x|k) of a fitted Gaussian estimator: by NumPy for few rows, compiled for many. Both
begin with residuals, so that nothing large cancels."""

from typing import TYPE_CHECKING

import numpy as np

import jaxem
from jaxem.core.precision import precision_of
from jaxem.sklearn.data import pad
from jaxem.sklearn.starts import has_matrices, params_of

if TYPE_CHECKING:
    from jaxem.sklearn.gaussian import GaussianMixture

#: Residuals (rows × components × columns) up to which NumPy takes about a millisecond: too little
#: for the program to make up for its compilation.
FEW = 1 << 18

LOG_2PI = float(np.log(2 * np.pi))


def log_joint(estimator: "GaussianMixture", x: np.ndarray) -> np.ndarray:
    """log π_k p(x|k) f64[n, k] of rows x f64[n, d], from the estimator's weights, means and
    `precisions_cholesky_`."""
    if len(x) * np.asarray(estimator.means_).size <= FEW:
        return _by_numpy(estimator, x)
    params = params_of(estimator)
    model = jaxem.Mixture(jaxem.Gaussian(estimator.covariance_type), len(params.weights))
    with precision_of(np.float64):
        return np.asarray(model.log_joint(params, pad(x)))[: len(x)]


def _by_numpy(estimator: "GaussianMixture", x: np.ndarray) -> np.ndarray:
    """With U of the precision U Uᵀ, z = (x − μ) U is standard normal, and log|U| adds up its
    diagonal."""
    weights, means, upper = (
        np.asarray(leaf, float)
        for leaf in (estimator.weights_, estimator.means_, estimator.precisions_cholesky_)
    )
    k, d = means.shape
    gap = x[None] - means[:, None]  # f[k, n, d]
    if has_matrices(estimator.covariance_type):
        z, diagonal = gap @ upper, np.diagonal(upper, axis1=-2, axis2=-1)
    else:
        diagonal = np.broadcast_to(upper.reshape(k, -1), (k, d))
        z = gap * diagonal[:, None]
    log_det = np.log(diagonal).sum(axis=-1)
    with np.errstate(divide="ignore"):  # a component of weight 0 has density 0
        constant = np.log(weights) + log_det - 0.5 * d * LOG_2PI
    return constant - 0.5 * np.einsum("knd,knd->nk", z, z)
