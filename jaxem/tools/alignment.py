"""Which component of one fit is which of another: the best assignment, and how sure it is."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import shared_fields
from jaxem.core.precision import precision_of
from jaxem.core.pytree import replace
from jaxem.data.data import as_data
from jaxem.families.gaussian import GaussianFamily
from jaxem.models import Mixture, MixtureParams
from jaxem.tools.arguments import one_fit
from jaxem.tools.wasserstein import host_gaussians, squared_distances

#: What a pair costs whose distance is not finite: dearer than any other.
BEYOND = 1e150


class Alignment(NamedTuple):
    """Leading axes are those of the fits that were aligned."""

    permutation: np.ndarray  # i[..., k]: component permutation[j] is the reference's j
    cost: np.ndarray  # f[...], of the whole assignment
    gap: np.ndarray  # f[..., k], what it would cost more to give j any other component
    ambiguity: np.ndarray  # f[..., k], 0: no doubt, 1: another assignment is as good


def align(
    model: Mixture,
    reference: MixtureParams,
    other: MixtureParams,
    x: Any = None,
    sample_weight: Any = None,
) -> Alignment:
    """Match the components of `other` (one fit, or any lane axes leading) to those of `reference`
    by the assignment of least cost (host; Kuhn 1955, by SciPy).

    With rows x f[n, d] of any family, a pair costs the weighted mean squared difference of its
    responsibilities; without, and for Gaussians only, the squared Wasserstein distance of its
    components. To judge component j, the best assignment that gives it another partner is sought:
    `gap` is its extra cost, `ambiguity` the ratio of old to new cost over the components that it
    changes. `reorder` then puts the fits in one order. Raises ValueError for mixtures of different
    sizes, and for other families without x.
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
    price = _by_components if x is None else _by_rows
    lanes = np.ndindex(shape[:-1])
    many = [jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], other) for i in lanes]
    costs = price(model, reference, many, x, sample_weight)
    found = [_assign(np.where(np.isfinite(cost), cost, BEYOND)) for cost in costs]

    def stack(leaves: Any) -> np.ndarray:
        return np.array(leaves).reshape(shape[:-1] + np.shape(leaves[0]))

    return Alignment(*(stack(leaves) for leaves in zip(*found, strict=True)))


def reorder(model: Mixture, params: MixtureParams, permutation: Any) -> MixtureParams:
    """The same mixture with component permutation[..., j] in place j; lane axes as in params."""
    order = np.asarray(permutation)
    lanes = order.ndim - 1

    def take(leaf: Any) -> Any:
        index = order.reshape(order.shape + (1,) * (np.ndim(leaf) - order.ndim))
        library: Any = jnp if isinstance(leaf, jax.Array) else np
        return library.take_along_axis(leaf, index, axis=lanes)

    shared = shared_fields(model.family.constraints())
    own = {k: v for k, v in vars(params.components).items() if k not in shared}
    moved = {name: take(leaf) for name, leaf in own.items()}
    return MixtureParams(take(params.weights), replace(params.components, **moved))


def _by_components(model, reference, many, x, sample_weight) -> list[np.ndarray]:
    """Squared Wasserstein distances f[k, k] for each of many."""
    del x, sample_weight
    known = host_gaussians(model, reference, "align")
    return [squared_distances(*known, *host_gaussians(model, one, "align")) for one in many]


def _by_rows(model, reference, many, x, sample_weight) -> list[np.ndarray]:
    """Σ w (r_ij − r'_il)² / Σ w f[k, k] for each of many."""
    with precision_of(np.asarray(reference.weights).dtype):
        data = as_data(jnp.asarray(x, jnp.asarray(reference.weights).dtype), sample_weight)
        weight = np.asarray(data.weight, float) / float(np.sum(data.weight))

        def share(params: MixtureParams) -> np.ndarray:
            return np.asarray(model.predict_proba(params, data.x), float)

        known, shares = share(reference), [share(params) for params in many]

    def cost(own: np.ndarray) -> np.ndarray:
        squares = np.dot(weight, known**2), np.dot(weight, own**2)
        both = np.einsum("n,nj,nl->jl", weight, known, own, optimize=True)
        return np.maximum(squares[0][:, None] + squares[1][None] - 2 * both, 0)

    return [cost(own) for own in shares]


def _assign(cost: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """The best assignment of cost f[k, k], its cost, and the gap and ambiguity of each row."""
    from scipy.optimize import linear_sum_assignment

    k = len(cost)
    each = np.arange(k)
    best = linear_sum_assignment(cost)[1]
    gap, ambiguity = np.full(k, np.inf), np.zeros(k)
    for j in range(k if k > 1 else 0):
        barred = cost.copy()
        barred[j, best[j]] = (cost.max() + 1) * 2 * k
        second = linear_sum_assignment(barred)[1]
        moved = second != best
        old, new = cost[each, best][moved].sum(), cost[each, second][moved].sum()
        gap[j] = max(new - old, 0.0)
        ambiguity[j] = min(old / new, 1.0) if new > 0 else 1.0
    return best, float(cost[each, best].sum()), gap, ambiguity
