"""Checks of parameters (unusable, spurious, inaccurate) and of a mixture's settings and data."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered
from jaxem.core.constraints import complaint
from jaxem.core.model_protocol import Health
from jaxem.core.protocols import Accurate, Bounded, Ridged, Statistics, check_family
from jaxem.core.status import Status
from jaxem.core.types import Rows
from jaxem.core.validation import positive
from jaxem.data.validate import as_host_data, check_components, check_finite, check_labels
from jaxem.devices.rows import rows_of_all_processes
from jaxem.models.params import MixtureParams, Prepared
from jaxem.numerics import ROUNDOFF

if TYPE_CHECKING:
    from jaxem.models.mixture import Mixture

#: A component narrower than the pooled components by this factor, in variance, is spurious.
NARROWNESS_LIMIT = 1e8

#: Stricter limits, for fits found by search: (factor on `min_rows`, narrowness).
STRICT = (3, 1e3)


def health(
    model: "Mixture", params: MixtureParams, stats: Statistics, prepared: Prepared
) -> Health:
    """The health of parameters and statistics."""
    ridged = offered(model.family, Ridged)
    return Health(
        _status(model, params, stats, prepared),
        _degenerate(model, params, stats, prepared, 1, NARROWNESS_LIMIT),
        _degenerate(model, params, stats, prepared, *STRICT),
        _condition(model, params, prepared.compute.precision),
        # A ridge is added after the maximisation; a step is then not monotone.
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
    empty = empty | jnp.any(params.weights < 0)  # possible only after an extrapolation
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
    """b[]: a spurious maximum, where a component has no more rows than `factor` times the family's
    `min_rows`, or is narrower than the pooled components by the factor `narrowness`."""
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
    """Error of the logits f[], in units of float32's roundoff: 0 for families without an accurate
    form, unless a fast precision adds to it."""
    lost = jnp.zeros((), params.weights.dtype)
    accurate = offered(model.family, Accurate)
    if accurate is not None:
        each = accurate.condition(params.components)
        lost = jnp.max(jnp.where(params.weights > 0, each, 0))
    unit = ROUNDOFF[precision]
    # The terms of a logit are of size 10 even where nothing cancels.
    return lost if unit == 1 else unit * (lost + 10)


def validate(model: "Mixture", data: Rows) -> None:
    """ValueError for data (`Data`, or x f[n, d]) that cannot be fitted (host)."""
    data = as_host_data(data)
    check_finite(data.x)
    present = rows_of_all_processes(data)
    check_components(model.n_components, data.weight, present)
    if data.label is not None:
        check_labels(data.label, model.n_components)
    model.family.validate(np.asarray(data.x))


def validate_settings(model: "Mixture", d: int) -> None:
    """ValueError for settings that are wrong for any data f[n, d] (host)."""
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
    """b[k]: components of positive weight (host)."""
    return np.asarray(params.weights) > 0


def complaints(self: "Mixture", params: MixtureParams) -> str:
    """The fields that break their constraints, and how, as text (host); empty where none does.
    Components that are switched off are not checked."""
    active = np.asarray(params.weights) > 0
    found = []
    for name, constraint in self.constraints().items():
        value = np.asarray(getattr(params, name), float)
        why = complaint(constraint, value if constraint.shared else value[active])
        found += [f"{name} {why}"] if why else []
    return "; ".join(found)
