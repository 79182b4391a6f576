"""Judgements of parameters: unusable, spurious, or short of digits; and of a mixture's settings."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered
from jaxem.core.constraints import complaint
from jaxem.core.model_protocol import Health
from jaxem.core.protocols import Accurate, Bounded, Ridged, Statistics, check_family
from jaxem.core.status import Status
from jaxem.core.validation import positive
from jaxem.data.data import Data
from jaxem.data.validate import check_components, check_finite, check_labels
from jaxem.devices.rows import rows_of_all_processes
from jaxem.models.params import MixtureParams, Prepared
from jaxem.numerics import ROUNDOFF

if TYPE_CHECKING:
    from jaxem.models.mixture import Mixture

#: A component this much narrower (in variance) than the pooled components is a spurious sliver.
NARROWNESS_LIMIT = 1e8

#: Stricter limits, for fits found by search: (factor on `min_rows`, narrowness).
STRICT = (3, 1e3)


def judge(model: "Mixture", params: MixtureParams, stats: Statistics, prepared: Prepared) -> Health:
    """What is to be said of parameters and statistics."""
    ridged = offered(model.family, Ridged)
    return Health(
        _status(model, params, stats, prepared),
        _degenerate(model, params, stats, prepared, 1, NARROWNESS_LIMIT),
        _degenerate(model, params, stats, prepared, *STRICT),
        _condition(model, params, prepared.compute.precision),
        # `reg_covar` is added after a maximisation, which is then none.
        jnp.all(jnp.asarray(0.0 if ridged is None else ridged.reg_covar) <= 0),
    )


def _status(
    model: "Mixture", params: MixtureParams, stats: Statistics, prepared: Prepared
) -> jax.Array:
    """A status for unusable parameters, else RUNNING."""
    active = params.weights > 0
    healthy = model.family.healthy(params.components, stats)
    sick = jnp.any(~healthy & active)
    floor = 1e-8 * prepared.weight / jnp.maximum(prepared.rows, 1)
    count = stats.moments[:, 0]
    empty = jnp.any(active & (count < floor)) & ("weights" not in model.frozen)
    empty = empty | jnp.any(params.weights < 0)  # only an extrapolation can do this
    status = jnp.where(sick, Status.SINGULAR, Status.RUNNING)
    return jnp.where(empty, Status.EMPTY_COMPONENT, status).astype(jnp.int32)


def _degenerate(
    model: "Mixture",
    params: MixtureParams,
    stats: Statistics,
    prepared: Prepared,
    factor: float,
    narrowness: float,
) -> jax.Array:
    """True for a spurious maximum: a component on fewer rows than `factor` times those that any
    component of its family fits, or narrower than the pooled components by `narrowness`."""
    family = offered(model.family, Bounded)
    least = 0 if family is None else family.min_rows(prepared.blocks.columns.shape[-2])
    judged = model.family.prior is None and "covariances" not in model.frozen
    if family is None or not least or not judged:
        return jnp.zeros((), bool)
    active = params.weights > 0
    rows = stats.moments[:, 0] * prepared.rows / prepared.weight
    few = rows < factor * least + 0.5
    sliver = family.narrowness(params.components, params.weights) > narrowness
    return jnp.any(active & (few | sliver)) & (jnp.sum(active) > 1)


def _condition(model: "Mixture", params: MixtureParams, precision: str) -> jax.Array:
    """How many roundings of float32 the logits can lose f[]: 0 for families without squares,
    unless a fast precision loses more."""
    lost = jnp.zeros((), params.weights.dtype)
    accurate = offered(model.family, Accurate)
    if accurate is not None:
        own = accurate.condition(params.components)
        lost = jnp.max(jnp.where(params.weights > 0, own, 0))
    unit = ROUNDOFF[precision]
    # Where nothing cancels, the terms of a logit are still of this size.
    return lost if unit == 1 else unit * (lost + 10)


def validate(model: "Mixture", data: Data) -> None:
    """ValueError for settings or data (host) that the mixture cannot take."""
    check_finite(data.x)
    present = rows_of_all_processes(data)
    check_components(model.n_components, data.weight, present)
    if data.label is not None:
        check_labels(data.label, model.n_components)
    model.family.validate(np.asarray(data.x))


def validate_settings(model: "Mixture", d: int) -> None:
    """Refuse, on the host, settings that no data f[n, d] could make sense of."""
    check_family(type(model.family))
    model.family.validate(np.empty((0, d)))
    if model.deprecated is not None:
        model.deprecated.check()
    if model.weight_prior is not None:
        positive("weight_prior", model.weight_prior)
    blank = jax.eval_shape(lambda: model.family.blank(model.n_components, d, np.float32))
    names = ("weights", *vars(blank))
    if set(model.constraints()) != set(names):
        raise ValueError(
            f"{type(model.family).__name__}.constraints must name {', '.join(vars(blank))}; it "
            f"names {', '.join(model.family.constraints())}."
        )
    unknown = set(model.frozen) - set(names)
    if unknown:
        raise ValueError(
            f"frozen names {sorted(unknown)}, but this mixture has {', '.join(names)}."
        )


def usable(self: "Mixture", params: MixtureParams) -> jax.Array:
    """b[]: the parameters define a density (weights on the simplex, healthy components)."""
    on_simplex = jnp.all(params.weights >= 0) & (jnp.abs(jnp.sum(params.weights) - 1) < 1e-3)
    return on_simplex & jnp.all(self.family.usable(params.components) | (params.weights <= 0))


def active(self: "Mixture", params: MixtureParams) -> np.ndarray:
    """b[k]: components that have weight (host)."""
    return np.asarray(params.weights) > 0


def complaints(self: "Mixture", params: MixtureParams) -> str:
    """The fields that break their constraints, and how (host); empty where none does. What a
    component that is off has there does not matter."""
    active = np.asarray(params.weights) > 0
    found = []
    for name, constraint in self.constraints().items():
        value = np.asarray(getattr(params, name), float)
        why = complaint(constraint, value if constraint.shared else value[active])
        found += [f"{name} {why}"] if why else []
    return "; ".join(found)
