"""`em`: the pure loop, one fit, for the caller's `jit`, `vmap` and `grad`."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxem.core.compiled import jitted
from jaxem.core.program_memory import make_room
from jaxem.core.pytree import replace
from jaxem.core.status import Status
from jaxem.core.validation import positive
from jaxem.data.data import Data, as_data
from jaxem.data.scaling import (
    frame_within,
    standardized_model,
    standardized_params,
)
from jaxem.devices.collectives import whole
from jaxem.engine import steps
from jaxem.engine.accelerators import ACCELERATORS
from jaxem.engine.finish import cast, finish
from jaxem.engine.stopping import RULES
from jaxem.kernels import choose
from jaxem.models import Mixture, MixtureParams, kept
from jaxem.results.fit import Fit


def em(
    model: Mixture,
    params: MixtureParams,
    x: Any,
    *,
    sample_weight: Any = None,
    labels: Any = None,
    tol: Any = 1e-6,
    max_iter: Any = 500,
    stop: str = "log_likelihood",
    accelerate: str | None = None,
    guard: Any = True,
    trace: int = 0,
    kernel: str | None = None,
) -> Fit:
    """Fit one model by EM from given parameters: pure, for your `jit` and `vmap`.

    x f[n, d] or `Data`; tol is per unit weight (scikit-learn's meaning); `stop` names a rule of
    `jaxem.engine.stopping`, `accelerate` one of `jaxem.engine.accelerators` ("anderson",
    "squarem") or None for the textbook's EM. `trace=m` (static, at least max_iter) also returns
    the objective after each of up to m iterations. `guard=False` accepts steps that lower the
    objective. `kernel` as in `jaxem.fit`. The fit is computed in standard units and mapped back, so
    data far from the origin keep their digits; one whose components are too narrow for float32, or
    its counts too large and far apart, ends as STALLED. Raises ValueError for an unknown name or a
    wrong shape, never on values: look at `.status`.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> start = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8, max_iter=0)[0].params
    >>> one = jax.jit(jaxem.em)(model, start, x)
    >>> one
    Fit(CONVERGED after ... iterations, log-likelihood -1130.26)
    """
    make_room()
    control = check_control(steps.Control(tol, max_iter, guard, stop, accelerate, trace))
    data = as_data(x, sample_weight, labels)
    model, params = cast(model, data.x.dtype), cast(params, data.x.dtype)
    model = with_kernel(model, data, 1, kernel)
    return _em(model, params, data, control)


def with_kernel(
    model, data: Data, lanes: int, kernel: str | None, platform: str | None = None
) -> Any:
    """The model with the named kernel, or the one that suits the platform (None: JAX's default)
    and the problem."""
    asked = model.kernel if kernel is None and model.kernel != "blocked" else kernel
    size = model.n_components, width_of(model, data), lanes, data.x.dtype
    return replace(model, kernel=choose(platform or jax.default_backend(), *size, asked))


def width_of(model, data: Data) -> int:
    """Features φ of the model on these data."""
    row = jax.ShapeDtypeStruct((1, data.x.shape[-1]), data.x.dtype)
    return _features.eval_shape(model.family, row).shape[0]


@jitted
def _features(family, row):
    """Never run: `jit` remembers the shapes of a function that it knows, which take a millisecond
    to trace."""
    return family.features(row)


def check_control(control: steps.Control) -> steps.Control:
    """ValueError for a stopping rule or accelerator that does not exist, and for numbers (where
    they are numbers already, not tracers) that make no sense."""
    for name, value in (("tol", control.tol), ("max_iter", control.max_iter)):
        if not isinstance(value, jax.core.Tracer):
            positive(name, value, zero=True)
    if control.stop not in RULES:
        raise ValueError(f"stop must be one of {', '.join(RULES)}; got {control.stop!r}.")
    if control.accelerate is not None and control.accelerate not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        raise ValueError(f"accelerate must be None or one of {known}; got {control.accelerate!r}.")
    return control


@jitted
def _em(model, params, data, control):
    frame = frame_within(model.family, data.x, data.weight)
    inner = cast(standardized_model(model, frame), data.x.dtype)
    z = (data.x - frame.shift[None, :]) / frame.scale[None, :]
    prepared = replace(inner.prepare(replace(data, x=z)), frame=frame)
    start = standardized_params(model, params, frame)
    run = steps.start(inner, start, prepared, control)
    going = lambda run: run.status == Status.RUNNING  # noqa: E731
    body = partial(steps.step, inner, prepared, control)
    run = jax.lax.while_loop(going, body, run)
    fit = finish(inner, prepared, run, frame, exact=True)
    components = kept(model, params.components, fit.params.components)
    # What never moved is as it was given, to the bit.
    moves = jax.tree.map(lambda a, b: jnp.any(a != b), run.point.params, start)
    moved = jnp.any(jnp.stack(jax.tree.leaves(moves)))
    fit = replace(
        fit, params=steps.select(moved, replace(fit.params, components=components), params)
    )
    return whole(getattr(model, "mesh", None), fit)
