"""Covariances of any type as matrices, and those of two chosen columns as ellipses."""

from typing import Any

import numpy as np

from jaxem.core.precision import precision_of
from jaxem.families.gaussian import as_gaussian
from jaxem.models import Mixture, MixtureParams


def is_gaussian(params: MixtureParams) -> bool:
    """Whether the components have means and covariances to draw."""
    return hasattr(params, "means") and hasattr(params, "covariances")


def covariance_matrices(model: Mixture, params: MixtureParams) -> np.ndarray:
    """Covariances of any type as matrices f[k, d, d], in the precision they have."""
    with precision_of(np.asarray(params.covariances).dtype):
        return np.asarray(as_gaussian(model.family).matrices(params.components))


def ellipse(mean: np.ndarray, matrix: np.ndarray, radius: float, **style: Any) -> Any:
    """The matplotlib patch of all points `radius` standard deviations from the mean."""
    from matplotlib.patches import Ellipse

    values, vectors = np.linalg.eigh(matrix)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    long, short = 2 * radius * np.sqrt(np.maximum(values[::-1], 0))
    return Ellipse((mean[0], mean[1]), long, short, angle=angle, **style)


def marginal_density(
    model: Mixture, params: MixtureParams, points: np.ndarray, pair: tuple[int, int]
) -> np.ndarray:
    """Density f[m] of the Gaussian mixture of two columns at points f[m, 2]."""
    chosen = list(pair)
    means = np.asarray(params.means)[:, chosen]
    matrices = covariance_matrices(model, params)[:, chosen][:, :, chosen]
    total = np.zeros(len(points))
    for weight, mean, matrix in zip(np.asarray(params.weights), means, matrices, strict=True):
        if weight > 0:
            root = np.linalg.cholesky(matrix)
            z = np.linalg.solve(root, (points - mean).T)
            peak = weight / (2 * np.pi * np.prod(np.diag(root)))
            total += peak * np.exp(-0.5 * np.sum(z * z, axis=0))
    return total
