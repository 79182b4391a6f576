"""Online EM for streams: a step for every block of rows, on statistics that forget old blocks.

Cappé and Moulines (2009, J. R. Stat. Soc. B 71, 593). The t-th block, of mean statistics s̄ at the
parameters θ before it, moves the running statistics and then the parameters:

    s ← (1 − γ) s + γ s̄,    θ ← m_step(s),    γ = (1 + weight seen before / weight of the block)^−α.

Blocks of equal weight have γ = t^−α, and α = 1 gives the plain mean over all blocks. For α in
(1/2, 1] the sum of all γ diverges and that of their squares converges, as the theory asks.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxem.core.capabilities import offered
from jaxem.core.compiled import jitted
from jaxem.core.model_protocol import BLOCK_ROWS, Compute, Freezable, Model, Rescalable
from jaxem.core.program_memory import make_room
from jaxem.core.settings import Settings, settings_of
from jaxem.core.status import Status
from jaxem.core.trees import pytree, replace
from jaxem.core.types import Array, Params, PreparedData, Rows, Stats
from jaxem.data.data import Data, as_data
from jaxem.data.scaling import Scaling
from jaxem.devices.collectives import replicate
from jaxem.engine import steps
from jaxem.engine.finish import cast, from_scaled, in_standard_units, to_scaled
from jaxem.engine.loop import compute_for, in_standard_data

#: α of the step sizes. Smaller exponents forget the start, and a stream's past, sooner.
EXPONENT = 0.6


@pytree
class OnlineState:
    """Where online EM stands after a block; `params` go into `em` or `fit` as a start.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> start = model.init(jax.random.key(0), x)
    >>> state = jaxem.online_start(model, start, x[:100])
    >>> float(state.seen), state.status == jaxem.Status.RUNNING
    (100.0, Array(True, dtype=bool))
    """

    params: Params  #: in the units of the data
    stats: Stats  #: decayed statistics per unit of weight, in standard units
    scaling: Scaling  #: the standard units, those of the first block
    seen: Array  #: f[], the weight of all blocks
    #: f[], mean log-likelihood of the last block by the parameters before it: a prediction
    log_likelihood: Array
    #: i[], RUNNING, or why the last block did not move the parameters
    status: Array


def online_start(
    model: Model, params: Params, x: Rows, *, sample_weight: Rows = None
) -> OnlineState:
    """The first step of online EM, from given parameters: one EM step on the first block.

    Its mean and scale are the standard units of all later blocks. Where it has too few rows to move
    the parameters, they stay, and `status` says why. Arguments as in `online_step`. Pure.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> start = model.init(jax.random.key(0), x)
    >>> jaxem.online_start(model, start, x[:100]).params.means.shape
    (2, 2)
    """
    model, data, compute = _read(model, x, sample_weight)
    return _start(model, cast(params, data.x.dtype), data, compute)


def online_step(
    model: Model,
    state: OnlineState,
    x: Rows,
    *,
    sample_weight: Rows = None,
    exponent: float | jax.Array = EXPONENT,
) -> OnlineState:
    """One step of online EM (Cappé and Moulines 2009): an E-step over a block, s ← (1 − γ) s + γ s̄,
    and an M-step. Pure, for your `jit`, `vmap` and `lax.scan`.

    γ = (1 + weight seen before / weight of the block)^−exponent. The M-step takes s as statistics
    of all the weight seen, so that a prior counts as it does in a fit of all rows. Parameters that
    the model's `health` refuses are not adopted: the old ones stay, and the statistics go on. A
    block whose statistics are not finite, or whose weight is zero, leaves the state but for
    `log_likelihood` and `status`, NaN and NONFINITE then. Raises ValueError for wrong shapes and
    exponents, never on values of x: look at `status`.

    - `x` f[n, d] or `Data`, which may hold labels; `sample_weight` f[n], 0 for padding. Blocks of
      one length share a program.
    - `exponent` in (1/2, 1], which may be traced: 1 weighs all blocks alike, smaller ones forget
      sooner.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> state = jaxem.online_start(model, model.init(jax.random.key(0), x), x[:100])
    >>> state = jaxem.online_step(model, state, x[100:200])
    >>> state, _ = jax.lax.scan(
    ...     lambda state, block: (jaxem.online_step(model, state, block), state.log_likelihood),
    ...     state, x[200:270].reshape(7, 10, 2),
    ... )
    >>> float(state.seen)
    270.0
    """
    check_exponent(exponent)
    model, data, compute = _read(model, x, sample_weight)
    dtype = data.x.dtype
    return _step(model, steps.narrowed(state, dtype), data, jnp.asarray(exponent, dtype), compute)


def check_exponent(exponent: float | jax.Array) -> None:
    """ValueError for an exponent outside (1/2, 1]; tracers are not looked at."""
    if not isinstance(exponent, Tracer) and not 0.5 < float(exponent) <= 1:
        raise ValueError(f"exponent must be above 0.5 and at most 1; got {exponent}.")


def _read(model: Model, x: Rows, sample_weight: Rows) -> tuple[Model, Data, Compute]:
    make_room()
    data = as_data(x, sample_weight, units=True)
    model, asked, data = settings_of(model, Settings(), data)
    if asked.assignment is not None or asked.exponent is not None:
        raise ValueError("online EM assigns softly: a model with assignment= or exponent= cannot.")
    model = cast(model, data.x.dtype)
    return model, data, compute_for(model, data, 1, asked)


@pytree
class _Block:
    """What an E-step finds in a block."""

    inner: Model  # in standard units
    params: Params  # in standard units
    prepared: PreparedData
    stats: Stats  # per unit of weight
    log_likelihood: Array  # f[], mean


@partial(jitted, static_argnames="compute")
def _start(model, params, data, compute):
    scaling, _ = in_standard_data(model, data)
    block = _expected(model, params, scaling, data, compute)
    weight = block.prepared.weight
    moved, status = _maximised(model, params, block, block.stats, weight, scaling)
    state = OnlineState(moved, block.stats, scaling, weight, block.log_likelihood, status)
    return replicate(data.mesh, state)


@partial(jitted, static_argnames="compute")
def _step(model, state, data, exponent, compute):
    block = _expected(model, state.params, state.scaling, data, compute)
    weight = block.prepared.weight
    share, seen = (1 + state.seen / weight) ** -exponent, state.seen + weight
    stats = jax.tree.map(lambda s, new: s + share * (new - s), state.stats, block.stats)
    moved, status = _maximised(model, state.params, block, stats, seen, state.scaling)
    new = OnlineState(moved, stats, state.scaling, seen, block.log_likelihood, status)
    told = replace(state, log_likelihood=block.log_likelihood, status=status)
    return replicate(data.mesh, steps.select(steps.finite(block.stats), new, told))


def _expected(model, params, scaling, data, compute) -> _Block:
    """The E-step of a block at parameters in the units of the data."""
    dtype = data.x.dtype
    z = (data.x - scaling.shift[None, :]) / scaling.scale[None, :]
    inner = in_standard_units(model, scaling, dtype)
    prepared = inner.prepare(replace(data, x=z), BLOCK_ROWS, compute)
    here, zero = to_scaled(model, params, scaling), jnp.zeros((), dtype)
    stats, total, _ = steps.expect(inner, steps.Control(), here, prepared, zero)
    stats = jax.tree.map(lambda leaf: leaf / prepared.weight, stats)
    mean = (total + prepared.base) / prepared.weight
    rescalable = offered(model, Rescalable)
    if rescalable is not None:
        mean = mean - rescalable.log_jacobian(scaling).astype(dtype)
    return _Block(inner, here, prepared, stats, mean)


def _maximised(model, params, block, stats, seen, scaling) -> tuple[Params, jax.Array]:
    """The M-step on statistics per unit of the weight `seen`, in the units of the data, and its
    status; `params` as given where it is refused."""
    inner, dtype = block.inner, seen.dtype
    total = jax.tree.map(lambda leaf: leaf * seen, stats)
    moved = steps.narrowed(inner.m_step(total, block.params), dtype)
    status = inner.health(moved, total, block.prepared).status
    finite = steps.finite((moved, stats, block.log_likelihood))
    status = jnp.where(finite, status, Status.NONFINITE).astype(jnp.int32)
    reported = steps.narrowed(from_scaled(model, moved, scaling), dtype)
    freezable = offered(model, Freezable)
    if freezable is not None:
        reported = freezable.kept(params, reported)
    return steps.select(status == Status.RUNNING, reported, params), status
