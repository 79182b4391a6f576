"""`partial_fit`: online EM (`jaxem.engine.online`) between calls of an estimator, in float64.

A fit keeps no statistics: those of its rows follow from its parameters, which are their M-step. The
first batch after it meets this past as labelled points, from there on the state is kept.
"""

import warnings

import jax
import numpy as np

from jaxem.batch.padding import padded_length
from jaxem.core.precision import precision_of
from jaxem.core.status import MESSAGES, Status
from jaxem.core.trees import replace
from jaxem.data.blocks import padded
from jaxem.data.data import Data, device_data
from jaxem.data.scaling import Scaling, rescaled
from jaxem.engine.online import OnlineState, online_start, online_step
from jaxem.families import Categorical
from jaxem.families.gaussian import GaussianFamily, as_gaussian
from jaxem.models import Mixture, MixtureParams
from jaxem.sklearn import starts
from jaxem.tools.wasserstein import host_gaussians, root

#: Most steps in which the prior is taken out of the parameters.
STEPS = 200


def begin(model: Mixture, params: MixtureParams, seen: float) -> OnlineState:
    """The state of an estimator that was fitted to rows of total weight `seen`, on the host: with
    the statistics whose M-step are its parameters.

    Without a prior these are the expected statistics at the parameters θ. With one they are those
    at a point q that the prior pulls to θ, by q ← q + θ − m_step(q): a prior is then counted once.
    """
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, float), params)
    q, prior = wide.components, model.family.prior
    with precision_of(np.float64):
        for _ in range(STEPS):
            points = past(model, replace(wide, components=q))
            rows = _on_device(replace(points, weight=seen * points.weight))
            state = jax.device_get(online_start(model, wide, rows))
            gap = jax.tree.map(np.subtract, wide.components, state.params.components)
            q = jax.tree.map(np.add, q, gap)
            if prior is None or max(np.abs(leaf).max() for leaf in jax.tree.leaves(gap)) < 1e-12:
                break
    return replace(state, params=wide, seen=np.asarray(seen, float))


def past(model: Mixture, params: MixtureParams) -> Data:
    """Labelled rows of total weight 1 whose statistics are the expected ones at the parameters of a
    mixture. A component is given as 2d points if it is Gaussian, as rows of codes if categorical,
    and as its mean where statistics are counts and sums."""
    if isinstance(model.family, GaussianFamily):
        points = _gaussian_points(model, params)
    elif isinstance(model.family, Categorical):
        points = [_codes(one) for one in params.components.probabilities]
    else:
        (means,) = vars(params.components).values()
        points = [(mean[None], np.ones(1)) for mean in means]
    x, mass = (np.concatenate(part) for part in zip(*points, strict=True))
    label = np.repeat(np.arange(len(points)), [len(own) for own, _ in points])
    return Data(x, params.weights[label] * mass, label)


def _gaussian_points(model: Mixture, params: MixtureParams) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points μ ± √d · (columns of a root of Σ − reg_covar) f[2d, d] of each component."""
    means, covariances = host_gaussians(model, params, "partial_fit")
    d = means.shape[1]
    ridge = float(as_gaussian(model.family).reg_covar) * np.eye(d)
    away = np.sqrt(d) * root(covariances - ridge).swapaxes(1, 2)
    points = means[:, None] + np.concatenate([away, -away], axis=1)
    return [(own, np.full(2 * d, 1 / (2 * d))) for own in points]


def _codes(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of codes f[m, d], and their masses, in which column j has the category c with mass
    probabilities[j, c]: the quantiles of all columns at each level between two steps."""
    steps = np.cumsum(probabilities, axis=1)[:, :-1]
    levels = np.unique(np.clip(np.append(steps.ravel(), [0.0, 1.0]), 0, 1))
    middle = (levels[1:] + levels[:-1]) / 2
    return (steps[None] <= middle[:, None, None]).sum(axis=2).astype(float), np.diff(levels)


def data_of(x: np.ndarray, weight: np.ndarray | None) -> Data:
    """A batch x f[n, d]; ValueError where no row has weight."""
    weight = np.ones(len(x)) if weight is None else weight
    if not weight.sum() > 0:
        raise ValueError("sample_weight is zero for every row: there is nothing to learn.")
    return Data(x, weight)


def check_same_size(asked: int, there: int) -> None:
    """ValueError where `n_components` has changed since the fit."""
    if asked != there:
        raise ValueError(
            f"n_components is {asked}, but the parameters are those of {there} components: call "
            "fit to begin anew."
        )


def step(model: Mixture, state: OnlineState, batch: Data) -> OnlineState:
    """The state after a batch, on the host. A warning says where the batch leads to no usable
    parameters: they stay, and its statistics count. ValueError where these overflow."""
    with precision_of(np.float64):
        state = jax.device_get(online_step(model, state, _on_device(batch)))
    status = Status(int(state.status))
    if status == Status.NONFINITE:
        raise ValueError("the statistics of X overflow float64: X is too far from earlier rows.")
    if status != Status.RUNNING:
        told = f"partial_fit left the parameters as they were: {MESSAGES[status]}."
        warnings.warn(told, stacklevel=4)
    return state


def ridged(model: Mixture, scaling: Scaling) -> Mixture:
    """The Gaussian mixture, with a `reg_covar` that rounding does not swallow."""
    back = Scaling(-scaling.shift / scaling.scale, 1 / scaling.scale)
    return rescaled(starts.in_standard_units(model, scaling), back)


def _on_device(data: Data) -> Data:
    """The rows in float64, padded to few different lengths."""
    full = padded(data, padded_length(len(data.x)), np.float64)
    return device_data(full.x, full.weight, full.label)
