"""Online EM: one step per batch on running statistics (Cappé and Moulines 2009, J. R. Stat. Soc. B
71, 593).

The statistics of all earlier rows follow from the parameters, which are their M-step; so only the
parameters are kept. The past enters a step as 2d labelled points for each component, with exactly
its weight, mean and covariance. A step is one E-step over batch and past together, and one M-step.
"""

import jax
import numpy as np

from jaxem.batch.padding import padded_length
from jaxem.core.compiled import jitted
from jaxem.core.trees import replace
from jaxem.data.data import device_data
from jaxem.data.scaling import scaling_of, standardize, to_scaled
from jaxem.families.gaussian import as_gaussian
from jaxem.models import Mixture, MixtureParams
from jaxem.sklearn import starts
from jaxem.tools.wasserstein import host_gaussians, root

#: Exponent of the step sizes, 0.6 as in the paper. In (1/2, 1] the sum of the step sizes diverges
#: and the sum of their squares converges; smaller exponents forget the start sooner.
EXPONENT = 0.6


def step_size(weight: float, seen: float) -> float:
    """γ = (1 + t)^−0.6, t = weight seen before / weight of this batch."""
    return (1 + seen / weight) ** -EXPONENT


def step(
    model: Mixture, params: MixtureParams, x: np.ndarray, weight: np.ndarray, seen: float
) -> MixtureParams:
    """The parameters of a Gaussian mixture after one batch x f[n, d], in units of x: the M-step of
    (1 − γ) · past + γ · batch, per unit of weight. `seen` is the weight of all earlier rows."""
    share = step_size(weight.sum(), seen)
    points, mass, label = _past(model, params)
    rows = np.concatenate([x.astype(float), points])
    w = np.concatenate([share * weight / weight.sum(), (1 - share) * mass])
    known = np.concatenate([np.full(len(x), -1), label])
    scaling = scaling_of(model.family, rows, w)
    size = padded_length(len(rows))
    z = np.zeros((size, rows.shape[1]))
    z[: len(rows)] = standardize(rows, scaling)
    missing = size - len(rows)
    data = device_data(z, np.pad(w, (0, missing)), np.pad(known, (0, missing), constant_values=-1))
    inner = starts.in_standard_units(model, scaling)
    return jax.device_get(_step(model, inner, scaling, params, data))


@jitted
def _step(model, inner, scaling, params, data):
    inside = to_scaled(model, params, scaling)
    moved = inner.m_step(inner.e_step(inside, data)[0], inside)
    components = model.family.unstandardize(moved.components, scaling.shift, scaling.scale)
    return replace(moved, components=components)


def _past(model: Mixture, params: MixtureParams) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points μ ± √d · (columns of a root of Σ − reg_covar) f[2dk, d], their weights and labels."""
    means, covariances = host_gaussians(model, params, "partial_fit")
    k, d = means.shape
    ridge = float(as_gaussian(model.family).reg_covar) * np.eye(d)
    away = np.sqrt(d) * root(covariances - ridge).swapaxes(1, 2)
    points = means[:, None] + np.concatenate([away, -away], axis=1)
    mass = np.repeat(np.asarray(params.weights, float) / (2 * d), 2 * d)
    return points.reshape(-1, d), mass, np.repeat(np.arange(k), 2 * d)
