"""Gaussian components in two chosen columns: ellipses and densities."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.core.precision import precision_of
from jaxem.families.gaussian import GaussianFamily, as_gaussian
from jaxem.models import Mixture, MixtureParams

if TYPE_CHECKING:
    from matplotlib.patches import Ellipse


def is_gaussian(model: Mixture) -> bool:
    """Whether the components have means and covariances to draw."""
    return isinstance(model.family, GaussianFamily)


def takes(model: Mixture, x: np.ndarray) -> bool:
    """Whether rows x f[n, d] can be data of the family."""
    try:
        model.family.validate(x)
    except ValueError:
        return False
    return True


def is_continuous(model: Mixture, x: np.ndarray) -> bool:
    """Whether the family takes numbers between those of x f[n, d]."""
    low, high = x.min(axis=0), x.max(axis=0)
    return takes(model, (low + 0.382 * np.where(high > low, high - low, 1))[None])


def covariance_matrices(model: Mixture, params: MixtureParams) -> np.ndarray:
    """Covariances of any type as matrices f[k, d, d], in the precision they have."""
    with precision_of(np.asarray(params.covariances).dtype):
        return np.asarray(as_gaussian(model.family).matrices(params.components))


def pair_of(
    model: Mixture, params: MixtureParams, pair: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Means f[k, 2] and covariances f[k, 2, 2] of two columns."""
    chosen = list(pair)
    matrices = covariance_matrices(model, params)
    return np.asarray(params.means)[:, chosen], matrices[:, chosen][:, :, chosen]


def ellipse(
    mean: np.ndarray, matrix: np.ndarray, radius: float, colour: str = "black"
) -> "Ellipse":
    """The matplotlib patch of all points `radius` standard deviations from the mean."""
    from matplotlib.patches import Ellipse

    values, vectors = np.linalg.eigh(matrix)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    long, short = 2 * radius * np.sqrt(np.maximum(values[::-1], 0))
    return Ellipse((mean[0], mean[1]), long, short, angle=angle, fill=False, color=colour, lw=1.8)


def marginal_density(
    model: Mixture, params: MixtureParams, points: np.ndarray, pair: tuple[int, int]
) -> np.ndarray:
    """Density f[m] of the Gaussian mixture of two columns at points f[m, 2]."""
    means, matrices = pair_of(model, params, pair)
    total = np.zeros(len(points))
    for weight, mean, matrix in zip(np.asarray(params.weights), means, matrices, strict=True):
        if weight > 0:
            root = np.linalg.cholesky(matrix)
            z = np.linalg.solve(root, (points - mean).T)
            peak = weight / (2 * np.pi * np.prod(np.diag(root)))
            total += peak * np.exp(-0.5 * np.sum(z * z, axis=0))
    return total
