"""Match the components of fits: the best assignment, and its ambiguity."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.constraints import shared_fields
from jaxem.core.precision import precision_of
from jaxem.data.data import as_data
from jaxem.families.gaussian import GaussianFamily
from jaxem.models import Mixture, MixtureParams
from jaxem.tools.arguments import one_fit
from jaxem.tools.wasserstein import host_gaussians, squared_distances

#: Cost of a pair whose distance is not finite: larger than any other.
INFINITE_COST = 1e150


class Alignment(NamedTuple):
    """Matches of components; the leading axes are those of the fits that were aligned."""

    permutation: np.ndarray  # i[..., k]: component permutation[j] is the reference's j
    cost: np.ndarray  # f[...], of the whole assignment
    gap: np.ndarray  # f[..., k], extra cost of the best assignment that gives j another partner
    ambiguity: np.ndarray  # f[..., k], 0: no doubt, 1: another assignment is as good


def align(
    model: Mixture,
    reference: MixtureParams,
    other: MixtureParams,
    x: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> Alignment:
    """Match the components of `other` (one fit, or any lane axes leading) to those of `reference`
    by the assignment of least cost (host; Kuhn 1955).

    The cost of a pair, with rows x f[n, d]: the weighted mean squared difference of the two
    responsibilities, for any family. Without x: the squared Wasserstein distance of the two
    components, for Gaussians only. Component j is judged by the best assignment that gives it
    another partner: `gap` is the extra cost of that assignment, `ambiguity` the ratio of old to new
    cost over the components that change partners. `reorder` then puts the fits in one order. Raises
    ValueError for mixtures of different sizes, and for other families without x.
    """
    one_fit(reference, "align (reference)")
    shape = np.shape(other.weights)
    if shape[-1:] != np.shape(reference.weights):
        raise ValueError(
            f"reference and other must have as many components; got {np.size(reference.weights)} "
            f"and weights of shape {shape}."
        )
    if x is None and not isinstance(model.family, GaussianFamily):
        raise ValueError(
            f"components of {type(model.family).__name__} are compared on data: give x."
        )
    lanes = np.ndindex(shape[:-1])
    fits = [jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], other) for i in lanes]
    if x is None:
        known = host_gaussians(model, reference, "align")
        costs = [squared_distances(*known, *host_gaussians(model, p, "align")) for p in fits]
    else:
        costs = _differences(model, reference, fits, x, sample_weight)
    found = [_judged(np.where(np.isfinite(cost), cost, INFINITE_COST)) for cost in costs]
    parts = (np.array(part) for part in zip(*found, strict=True))
    return Alignment(*(part.reshape(shape[:-1] + part.shape[1:]) for part in parts))


def reorder(model: Mixture, params: MixtureParams, permutation: ArrayLike) -> MixtureParams:
    """The same mixture with component permutation[..., j] in place j; lane axes as in params."""
    return params.take(permutation, shared_fields(model.family.constraints()))


def _differences(
    model: Mixture,
    reference: MixtureParams,
    fits: list[MixtureParams],
    x: ArrayLike,
    sample_weight: ArrayLike | None,
) -> list[np.ndarray]:
    """Σ w (r_ij − r'_il)² / Σ w f[k, k] of the responsibilities of each fit."""
    with precision_of(np.asarray(reference.weights).dtype):
        data = as_data(jnp.asarray(x, jnp.asarray(reference.weights).dtype), sample_weight)
        weight = np.asarray(data.weight, float) / float(np.sum(data.weight))
        known, *shares = (
            np.asarray(model.predict_proba(params, data.x), float) for params in (reference, *fits)
        )
    costs = []
    for r in shares:
        squares = np.dot(weight, known**2)[:, None] + np.dot(weight, r**2)[None]
        products = np.einsum("n,nj,nl->jl", weight, known, r, optimize=True)
        costs.append(np.maximum(squares - 2 * products, 0))
    return costs


def assignment(cost: np.ndarray) -> np.ndarray:
    """The column i[k] of each row in the assignment of least total cost f[k, k].

    Kuhn's Hungarian method (1955, Naval Res. Logist. 2, 83), by SciPy.
    """
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(cost)[1]


def _judged(cost: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """The best assignment of cost f[k, k], its cost, and the gap and ambiguity of each row."""
    k = len(cost)
    each = np.arange(k)
    best = assignment(cost)
    gap, ambiguity = np.full(k, np.inf), np.zeros(k)
    for j in range(k if k > 1 else 0):
        barred = cost.copy()
        barred[j, best[j]] = (cost.max() + 1) * 2 * k
        second = assignment(barred)
        moved = second != best
        old, new = cost[each, best][moved].sum(), cost[each, second][moved].sum()
        gap[j] = max(new - old, 0.0)
        ambiguity[j] = min(old / new, 1.0) if new > 0 else 1.0
    return best, float(cost[each, best].sum()), gap, ambiguity
