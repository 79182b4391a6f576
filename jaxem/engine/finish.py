"""From a run in standard units to a `Fit` in the units of the data."""

from typing import TypeVar

import jax
import jax.numpy as jnp

from jaxem.core.capabilities import offered
from jaxem.core.model_protocol import Exact, Model, Rescalable
from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.core.types import DType, Params, PreparedData
from jaxem.data.scaling import Scaling
from jaxem.engine import steps
from jaxem.results.fit import Fit

#: Error of a log density (nats) from which a converged run is STALLED: flat to this precision.
BLURRED = 1e-3

T = TypeVar("T")


def cast(tree: T, dtype: DType) -> T:
    """The tree, its leaves arrays of `dtype`: float64 priors must not widen float32 fits."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def in_standard_units(model: Model, scaling: Scaling, dtype: DType) -> Model:
    """The model of data in standard units, its leaves in `dtype`."""
    rescalable = offered(model, Rescalable)
    return cast(model if rescalable is None else rescalable.rescaled(scaling), dtype)


def to_scaled(model: Model, params: Params, scaling: Scaling) -> Params:
    """Parameters in the units of the data as parameters in standard units; unchanged where the
    model is not `Rescalable`."""
    rescalable = offered(model, Rescalable)
    return params if rescalable is None else rescalable.to_scaled(params, scaling)


def from_scaled(model: Model, params: Params, scaling: Scaling) -> Params:
    """Parameters in standard units as parameters in the units of the data; unchanged where the
    model is not `Rescalable`."""
    rescalable = offered(model, Rescalable)
    return params if rescalable is None else rescalable.from_scaled(params, scaling)


def finish(
    model: Model,
    prepared: PreparedData,
    run: steps.Run,
    scaling: Scaling,
    control: steps.Control,
    exact: bool,
    dtype: DType | None = None,
) -> tuple[Fit, jax.Array]:
    """The `Fit` of a run in the units of the data, with totals in place of means, its status
    judged; and the error of its log densities f[], in units of the roundoff.

    `model` is in standard units. Where the model is `Exact`, and its `log_likelihood` is cheap or
    `exact` asks for it, the likelihood is that function of the parameters as they are reported, in
    `dtype` (None: that of the run). Elsewhere it is the sum from the run's last E-step.
    """
    point = run.point
    status, condition = judged(model, prepared, run, control)
    likelihood, objective = _totals(model, prepared, run, scaling, control, exact, dtype)
    trace = None if run.record is None else run.record * prepared.weight + prepared.base
    if trace is not None and control.soft:  # the trace ends with the reported objective
        trace = trace.at[jnp.maximum(run.n_iter, 0)].set(objective)
    fit = Fit(point.params, likelihood, objective, status, run.n_iter, trace)
    return restore(model, fit, scaling, prepared.weight), condition


def judged(
    model: Model, prepared: PreparedData, run: steps.Run, control: steps.Control
) -> tuple[jax.Array, jax.Array]:
    """The status of a run that has ended, and the error of its log densities f[], in units of the
    roundoff."""
    point, status = run.point, run.status
    health = model.health(point.params, point.stats, prepared)
    condition = jnp.asarray(health.condition, point.ll_offset.dtype)
    sound = jnp.any(jnp.stack([status == code for code in SOUND]))
    eps = jnp.finfo(point.ll_offset.dtype).eps
    blurred = (status == Status.CONVERGED) & (eps * condition > BLURRED)
    status = jnp.where(blurred, Status.STALLED, status)
    # Classification EM has no likelihood that is spuriously high.
    spurious = health.spurious & (control.assignment == "soft")
    return jnp.where(sound & spurious, Status.DEGENERATE, status).astype(jnp.int32), condition


def _totals(model, prepared, run, scaling, control, exact, dtype) -> tuple[jax.Array, jax.Array]:
    """Log-likelihood and objective f[] of the run's parameters, in standard units."""
    point = run.point
    weight, base = prepared.weight, prepared.base
    likelihood = (point.ll_reference + point.ll_offset) * weight + base
    objective = steps.objective(point) * weight + base
    exact_form = offered(model, Exact)
    if exact_form is not None and (exact or not control.soft or exact_form.exact_is_cheap()):
        reported = from_scaled(model, point.params, scaling)
        reported = cast(reported, dtype or point.ll_offset.dtype)
        params = to_scaled(model, cast(reported, point.ll_offset.dtype), scaling)
        likelihood = exact_form.log_likelihood(params, prepared)
        objective = likelihood + model.log_prior(params) if control.soft else objective
    elif not control.soft:
        zero = jnp.zeros((), point.ll_offset.dtype)
        likelihood = model.expect(point.params, prepared, zero)[1] + base
    return likelihood, objective


def restore(model: Model, fit: Fit, scaling: Scaling, weight: jax.Array) -> Fit:
    """A fit in standard units as a fit in the units of the data: the parameters are mapped back,
    the likelihood loses the log Jacobian of the data, and the objective also gains the change in
    the log prior density of the parameters. `weight` f[] is the total weight."""
    rescalable = offered(model, Rescalable)
    if rescalable is None:
        return fit
    params = rescalable.from_scaled(fit.params, scaling)
    jacobian = weight * rescalable.log_jacobian(scaling).astype(fit.log_likelihood.dtype)
    back = Scaling(-scaling.shift / scaling.scale, 1 / scaling.scale)
    prior = rescalable.rescaled(back).log_prior(params) - model.log_prior(fit.params)
    return replace(
        fit,
        params=params,
        log_likelihood=fit.log_likelihood - jacobian,
        objective=fit.objective - jacobian + prior,
        trace=None if fit.trace is None else fit.trace - jacobian + prior,
    )
