"""From a run in standard units to a `Fit` in the units of the data."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxem.core.capabilities import provides
from jaxem.core.model_protocol import Exact, Model, Rescalable
from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.data.scaling import Scaling
from jaxem.engine import steps
from jaxem.results.fit import Fit

#: Error of a log density (nats) from which a converged run is STALLED: flat to this precision.
BLURRED = 1e-3


def cast(tree: Any, dtype: Any) -> Any:
    """Every leaf as an array of the data's dtype: a float64 prior must not widen float32 fits."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def in_standard_units(model: Model, scaling: Scaling, dtype: Any) -> Model:
    """The model as it fits data in standard units, its leaves in their dtype."""
    if provides(type(model), Rescalable):
        model = model.rescaled(scaling)
    return cast(model, dtype)


def to_scaled(model: Model, params: Any, scaling: Scaling) -> Any:
    """Parameters of x as parameters of z, where the model tells the two apart."""
    return model.to_scaled(params, scaling) if provides(type(model), Rescalable) else params


def from_scaled(model: Model, params: Any, scaling: Scaling) -> Any:
    """Parameters of z as parameters of x, where the model tells the two apart."""
    return model.from_scaled(params, scaling) if provides(type(model), Rescalable) else params


def finish(
    model: Model,
    prepared: Any,
    run: steps.Run,
    scaling: Scaling,
    control: steps.Control,
    exact: bool,
    dtype: Any = None,
) -> tuple[Fit, jax.Array]:
    """The `Fit` of a run in the units of the data, judged, totals instead of means; and how many
    roundings its log densities can lose f[].

    `model` is the one in standard units. The likelihood is taken from log densities, of the
    parameters as they are reported (in `dtype`, None: that of the run), where the model has them
    and they cost little more than a step, or where it is to be `exact`.
    """
    point, status = run.point, run.status
    health = model.health(point.params, point.stats, prepared)
    condition = jnp.asarray(health.condition, point.ll_offset.dtype)
    usable = jnp.any(jnp.stack([status == code for code in SOUND]))
    eps = jnp.finfo(point.ll_offset.dtype).eps
    blurred = (status == Status.CONVERGED) & (eps * condition > BLURRED)
    status = jnp.where(blurred, Status.STALLED, status)
    # Classification EM has no likelihood that is spuriously high.
    spurious = health.spurious & (control.assignment == "soft")
    status = jnp.where(usable & spurious, Status.DEGENERATE, status).astype(jnp.int32)
    likelihood, goal = _totals(model, prepared, run, scaling, control, exact, dtype)
    trace = None if run.record is None else run.record * prepared.weight + prepared.base
    if trace is not None and control.soft:  # it ends with what is reported
        trace = trace.at[jnp.maximum(run.n_iter, 0)].set(goal)
    fit = Fit(point.params, likelihood, goal, status, run.n_iter, trace)
    return restore(model, fit, scaling, prepared.weight), condition


def _totals(model, prepared, run, scaling, control, exact, dtype) -> tuple[jax.Array, jax.Array]:
    """Log-likelihood and objective f[] of the run's parameters, in standard units."""
    point = run.point
    weight, base = prepared.weight, prepared.base
    likelihood = (point.ll_reference + point.ll_offset) * weight + base
    goal = steps.objective(point) * weight + base
    if provides(type(model), Exact) and (exact or not control.soft or model.exact_is_cheap()):
        reported = from_scaled(model, point.params, scaling)
        reported = cast(reported, dtype or point.ll_offset.dtype)
        params = to_scaled(model, cast(reported, point.ll_offset.dtype), scaling)
        likelihood = model.log_likelihood(params, prepared)
        goal = likelihood + model.log_prior(params) if control.soft else goal
    elif not control.soft:
        zero = jnp.zeros((), point.ll_offset.dtype)
        likelihood = model.expect(point.params, prepared, zero)[1] + base
    return likelihood, goal


def restore(model: Model, fit: Fit, scaling: Scaling, weight: jax.Array) -> Fit:
    """A fit of z as a fit of x: parameters mapped, the Jacobian paid by the likelihood, and by the
    prior density of the parameters."""
    if not provides(type(model), Rescalable):
        return fit
    params = model.from_scaled(fit.params, scaling)
    jacobian = weight * model.log_jacobian(scaling).astype(fit.log_likelihood.dtype)
    back = Scaling(-scaling.shift / scaling.scale, 1 / scaling.scale)
    prior = model.rescaled(back).log_prior(params) - model.log_prior(fit.params)
    return replace(
        fit,
        params=params,
        log_likelihood=fit.log_likelihood - jacobian,
        objective=fit.objective - jacobian + prior,
        trace=None if fit.trace is None else fit.trace - jacobian + prior,
    )
