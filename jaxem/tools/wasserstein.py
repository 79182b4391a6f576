"""The Wasserstein distance between Gaussian mixtures, over plans that are Gaussian mixtures.

Delon and Desolneux (2020, SIAM J. Imaging Sci. 13, 936): discrete transport between components;
the cost of a pair is the squared Wasserstein distance of its two Gaussians.
"""

from typing import NamedTuple

import jax
import numpy as np

from jaxem.models import Mixture, MixtureParams
from jaxem.tools.arguments import gaussian, in_own_precision, same_space


class Transport(NamedTuple):
    """The distance, and the mass that moves between each two components."""

    distance: float
    plan: np.ndarray  # f[k_p, k_q], mass from each component of p to each of q
    cost: np.ndarray  # f[k_p, k_q], squared distances between components


def mixture_wasserstein(
    model_p: Mixture, p: MixtureParams, model_q: Mixture, q: MixtureParams
) -> Transport:
    """The distance MW2 between two Gaussian mixtures and its optimal plan (host, float64).

    A distance between mixtures (Delon and Desolneux 2020), never below the Wasserstein
    distance of the densities. Solved exactly as a linear program (HiGHS, by SciPy). Raises
    ValueError for other families and for mixtures over different columns.
    """
    parts = []
    for model, params in ((model_p, p), (model_q, q)):
        means, covariances = host_gaussians(model, params, "mixture_wasserstein")
        weights = np.asarray(params.weights, float)
        parts.append((weights / weights.sum(), means, covariances))
    same_space(model_q, q, parts[0][1].shape[1])
    (a, *from_), (b, *to) = parts
    cost = squared_distances(*from_, *to)
    plan = _cheapest(cost, a, b)
    return Transport(float(np.sqrt(np.sum(plan * cost))), plan, cost)


def host_gaussians(model: Mixture, params: MixtureParams, what: str):
    """Means f[k, d] and covariance matrices f[k, d, d] as NumPy arrays in float64; a component
    that is switched off is a point at its mean."""
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    means, covariances = _expanded(model, wide, what)
    off = wide.weights <= 0
    return np.where(off[:, None], 0, means), np.where(off[:, None, None], 0, covariances)


@in_own_precision
def _expanded(model, params, what) -> tuple[np.ndarray, np.ndarray]:
    params = gaussian(model, params, what)
    return jax.device_get((params.means, model.family.matrices(params.components)))


def squared_distances(means_a, covariances_a, means_b, covariances_b) -> np.ndarray:
    """Squared Wasserstein distances f[a, b] between Gaussians: |Δμ|² and Bures' distance of Σ.

    Bures' distance is the minimum of |A − B U|² over orthogonal U, with Σ = A Aᵀ. This form loses
    no digits where the two are close, unlike the difference of traces (Bhatia et al. 2019, Expo.
    Math. 37).
    """
    a, b = root(covariances_a), root(covariances_b)
    left, _, right = np.linalg.svd(np.einsum("bji,ajl->abil", b, a))
    turned = np.einsum("bij,abjl,ablm->abim", b, left, right)
    shift = means_a[:, None] - means_b[None]
    return (shift**2).sum(-1) + ((a[:, None] - turned) ** 2).sum((-1, -2))


def root(covariances: np.ndarray) -> np.ndarray:
    """A f[k, d, d] with A Aᵀ = Σ; negative eigenvalues, due to rounding, count as 0."""
    values, vectors = np.linalg.eigh(covariances)
    return vectors * np.sqrt(np.maximum(values, 0))[..., None, :]


def _cheapest(cost: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The plan f[k_p, k_q] of least total cost with margins a and b."""
    from scipy.optimize import linprog

    rows = np.kron(np.eye(a.size), np.ones(b.size))
    columns = np.kron(np.ones(a.size), np.eye(b.size))
    scale = cost.max() if cost.max() > 0 else 1.0
    tight = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    # The last equation follows from the others; rounding may make it contradict them.
    solved = linprog(
        cost.ravel() / scale,
        A_eq=np.concatenate([rows, columns])[:-1],
        b_eq=np.concatenate([a, b])[:-1],
        method="highs",
        options=tight,
    )
    if solved.status != 0:
        raise ValueError(f"no transport plan found: {solved.message} Are all parameters finite?")
    return np.maximum(solved.x, 0).reshape(cost.shape)
