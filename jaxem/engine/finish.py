"""From a run in standard units to a `Fit` in the units of the data."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxem.core.capabilities import offered
from jaxem.core.protocols import Accurate
from jaxem.core.pytree import replace
from jaxem.core.status import SOUND, Status
from jaxem.data.scaling import (
    Frame,
    log_jacobian,
    original_params,
    standardized_model,
    standardized_params,
)
from jaxem.engine import steps
from jaxem.models import Mixture
from jaxem.results.fit import Fit

#: Error of a log density (nats) from which a converged run is STALLED: flat to this precision.
BLURRED = 1e-3


def cast(tree: Any, dtype: Any) -> Any:
    """Every leaf as an array of the data's dtype: a float64 prior must not widen float32 fits."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def finish(
    model: Mixture, prepared: Any, run: steps.Run, frame: Frame, exact: bool, dtype: Any = None
) -> Fit:
    """The `Fit` of a run in the units of the data, soundness judged, totals instead of means.

    The likelihood is taken from log densities, of the parameters as they are reported (`dtype`,
    None: that of the run), where these cost little more than a step, or where it is to be `exact`.
    """
    point, status = run.point, run.status
    spurious = model.degenerate(point.params, point.stats, prepared)
    usable = jnp.any(jnp.stack([status == code for code in SOUND]))
    eps = jnp.finfo(point.rest.dtype).eps
    blurred = (status == Status.CONVERGED) & (eps * model.condition(point.params) > BLURRED)
    status = jnp.where(blurred, Status.STALLED, status)
    status = jnp.where(usable & spurious, Status.DEGENERATE, status).astype(jnp.int32)
    total = lambda mean: mean * prepared.weight + prepared.base  # noqa: E731
    likelihood, goal = total(point.level + point.rest), total(steps.objective(point))
    soft = model.assignment == "soft" and model.exponent is None
    accurate = offered(model.family, Accurate)
    if exact or not soft or (accurate is not None and accurate.residual_form):
        reported = cast(original_params(model, point.params, frame), dtype or point.rest.dtype)
        own = standardized_params(model, cast(reported, point.rest.dtype), frame)
        likelihood = model.likelihood(own, prepared)
        if soft:
            goal = likelihood + model.log_prior(own)
    trace = None if run.record is None else total(run.record)
    if trace is not None and soft:  # it ends with what is reported
        trace = trace.at[jnp.maximum(run.n_iter, 0)].set(goal)
    fit = Fit(point.params, likelihood, goal, status, run.n_iter, trace)
    return restore(model, fit, frame, prepared.weight)


def restore(model: Any, fit: Fit, frame: Frame, weight: jax.Array) -> Fit:
    """A fit of z as a fit of x: parameters mapped, the Jacobian paid by the likelihood, and by the
    prior density of the parameters."""
    if not model.family_is_scaled:
        return fit
    params = original_params(model, fit.params, frame)
    jacobian = weight * log_jacobian(model, frame).astype(fit.log_likelihood.dtype)
    back = Frame(-frame.shift / frame.scale, 1 / frame.scale)
    prior = standardized_model(model, back).log_prior(params) - model.log_prior(fit.params)
    return replace(
        fit,
        params=params,
        log_likelihood=fit.log_likelihood - jacobian,
        objective=fit.objective - jacobian + prior,
        trace=None if fit.trace is None else fit.trace - jacobian + prior,
    )
