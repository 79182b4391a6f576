"""`em`: one fit as a pure function, for the caller's `jit`, `vmap` and `grad`."""

from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxem.core.capabilities import offered, provides
from jaxem.core.compiled import jitted
from jaxem.core.model_protocol import (
    BLOCK_ROWS,
    Assignable,
    Compute,
    Freezable,
    Kernelled,
    Model,
    Rescalable,
    Watched,
)
from jaxem.core.program_memory import make_room
from jaxem.core.settings import Settings, settings_of
from jaxem.core.status import Status
from jaxem.core.trees import replace
from jaxem.core.types import Params, Rows
from jaxem.core.validation import positive
from jaxem.data.blocks import NO_ROWS
from jaxem.data.data import Data, as_data, check_none_beside
from jaxem.data.row_files import is_rows, open_rows
from jaxem.data.scaling import Scaling
from jaxem.devices.collectives import replicate
from jaxem.engine import steps
from jaxem.engine.accelerators import ACCELERATORS
from jaxem.engine.finish import cast, finish, in_standard_units, to_scaled
from jaxem.engine.stopping import RULES
from jaxem.results.fit import Fit


def em(
    model: Model,
    params: Params,
    x: Rows,
    *,
    sample_weight: Rows = None,
    labels: Rows = None,
    tol: float | jax.Array = 1e-6,
    max_iter: int | jax.Array = 500,
    stop: str = "log_likelihood",
    accelerate: str | None = None,
    guard: bool | jax.Array = True,
    assignment: str | None = None,
    exponent: float | jax.Array | None = None,
    trace: int = 0,
    kernel: str | None = None,
    precision: str | None = None,
) -> Fit:
    """Fit one model by EM from given parameters: pure, for your `jit` and `vmap`.

    The fit is computed in standard units and mapped back, so data far from the origin keep their
    digits. A fit whose components are too narrow for float32, or whose counts are too large and far
    apart, ends as STALLED. Raises ValueError for an unknown name or a wrong shape, never on values:
    look at `.status`.

    - `model`: a `Mixture`, or any `jaxem.Model`; `params`: its parameters, where the fit starts.
    - `x` f[n, d] or `Data`; `sample_weight` f[n]; `labels` i[n], -1 where unknown. Or rows that
      need not fit into memory (`jaxem.open_rows`), outside `jit` and `vmap`, without a trace.
    - `tol`: gain per unit weight at which the fit ends (scikit-learn's meaning).
    - `stop`: a rule of `jaxem.engine.stopping`.
    - `accelerate`: None (the textbook's EM), "squarem" or "anderson".
    - `guard`: False accepts steps that lower the objective.
    - `assignment`: "soft" (None) or "hard" (classification EM).
    - `exponent`: of tempered responsibilities, below 1 for annealing; it may be traced.
    - `trace`: m (static, at least max_iter) also returns the objective after each iteration.
    - `kernel`, `precision`: as in `jaxem.fit`.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> start = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8, max_iter=0)[0].params
    >>> one = jax.jit(jaxem.em)(model, start, x)
    >>> one
    Fit(CONVERGED after ... iterations, log-likelihood -1130.26)
    """
    make_room()
    blocks = is_rows(x)
    data = NO_ROWS if blocks else as_data(x, sample_weight, labels, units=True)
    asked, given = Settings(kernel, precision, assignment, exponent), model
    model, asked, data = settings_of(model, asked, data)
    control = steps.Control(tol, max_iter, guard, stop, accelerate, trace)
    control = replace(control, assignment=asked.assignment or "soft", exponent=asked.exponent)
    check_control(model, control)
    if blocks:
        check_none_beside(sample_weight, labels, "RowBlocks")
        return import_module("jaxem.stream.one_fit").em_in_blocks(
            model, params, open_rows(x), control, asked
        )
    model, params = cast(model, data.x.dtype), cast(params, data.x.dtype)
    compute = compute_for(model, data, 1, asked)
    fit = _em(model, params, data, control, compute)
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(given))
    return fit if traced else fit.of(given, control.soft)


def compute_for(
    model: Model, data: Data, lanes: int, asked: Settings, platform: str | None = None
) -> Compute:
    """How to compute `lanes` fits: with the kernel and precision that were `asked` for, else with
    the model's choice for the platform (None: JAX's default) and the data. `Compute()` for models
    that are not `Kernelled`."""
    kernelled = offered(model, Kernelled)
    if kernelled is None:
        return Compute()
    platform = platform or jax.default_backend()
    return kernelled.compute_for(data, lanes, asked.kernel, asked.precision, platform)


def check_control(model: Model, control: steps.Control) -> steps.Control:
    """The control as given. ValueError for a stopping rule, accelerator or assignment that does not
    exist or that the model cannot do, and for numbers out of range (tracers are not looked at)."""
    for name, value in (("tol", control.tol), ("max_iter", control.max_iter)):
        if not isinstance(value, Tracer):
            positive(name, value, zero=True)
    if control.stop not in RULES:
        raise ValueError(f"stop must be one of {', '.join(RULES)}; got {control.stop!r}.")
    if control.accelerate is not None and control.accelerate not in ACCELERATORS:
        known = ", ".join(ACCELERATORS)
        raise ValueError(f"accelerate must be None or one of {known}; got {control.accelerate!r}.")
    if control.assignment not in ("soft", "hard"):
        raise ValueError(f"assignment must be 'soft' or 'hard'; got {control.assignment!r}.")
    if control.exponent is not None and not isinstance(control.exponent, Tracer):
        positive("exponent", control.exponent)
    kind = type(model)
    if not control.soft and not provides(kind, Assignable):
        raise ValueError(
            f"assignment and exponent need a model with expect_assigned: {kind.__name__} has none."
        )
    if control.stop == "q" and not provides(kind, Watched):
        raise ValueError(f"stop='q' needs a model with expected_gain: {kind.__name__} has none.")
    return control


def in_standard_data(model: Model, data: Data) -> tuple[Scaling, Data]:
    """The scaling of the data, traced, and the data in standard units."""
    rescalable = offered(model, Rescalable)
    if rescalable is None:
        d = data.x.shape[-1]
        return Scaling(jnp.zeros(d, data.x.dtype), jnp.ones(d, data.x.dtype)), data
    x, weight = jnp.asarray(data.x), jnp.asarray(data.weight)
    scaling = rescalable.scaling(x, weight)
    z = (data.x - scaling.shift[None, :]) / scaling.scale[None, :]
    return scaling, replace(data, x=z)


@partial(jitted, static_argnames="compute")
def _em(model, params, data, control, compute):
    scaling, scaled = in_standard_data(model, data)
    inner = in_standard_units(model, scaling, data.x.dtype)
    prepared = inner.prepare(scaled, BLOCK_ROWS, compute)
    if provides(type(model), Rescalable):
        prepared = replace(prepared, scaling=scaling)
    start = to_scaled(model, params, scaling)
    run = steps.start(inner, start, prepared, control)
    run = jax.lax.while_loop(
        lambda run: run.status == Status.RUNNING, partial(steps.step, inner, prepared, control), run
    )
    fit, _ = finish(inner, prepared, run, scaling, control, exact=True)
    # Parameters that no step moved are returned as they were given, to the bit.
    moves = jax.tree.map(lambda a, b: jnp.any(a != b), run.point.params, start)
    moved = jnp.any(jnp.stack(jax.tree.leaves(moves)))
    reported = fit.params
    if provides(type(model), Freezable):
        reported = model.kept(params, fit.params)
    fit = replace(fit, params=steps.select(moved, reported, params))
    return replicate(data.mesh, fit)
