"""One run of EM, without a batch: the point, the controls, one guarded step, status and stopping.

A `Point` carries parameters, their statistics and their objective. All three belong to the same
parameters, because a step is an M-step, then an E-step. So the reported likelihood is that of the
reported parameters, and after a refused step the run still stands at a complete point.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike

from jaxem.core.status import Status
from jaxem.core.trees import pytree, replace, static
from jaxem.core.types import Array, DType, Params, PyTree, Stats
from jaxem.engine import accelerators
from jaxem.engine.stopping import RULES, left_to_gain

#: Steps without progress beyond rounding that make a run STALLED.
PATIENCE = 20

#: Decrease of the objective, in units of rounding, from which a run ends DECREASED; a smaller one
#: ends STALLED.
DECREASE_THRESHOLD = 64

#: Mean log-likelihood below which a start cannot have made the rows, such as those of a category of
#: probability 0. Differences from it would lose all digits.
IMPOSSIBLE = -1e15

T = TypeVar("T")


@pytree
class Control:
    """Settings of a run. The static fields are part of the program. All others are traced: a new
    tolerance compiles nothing."""

    tol: float | jax.Array = 1e-6
    max_iter: int | jax.Array = 500
    guard: bool | jax.Array = True  # refuse a step that lowers the objective
    stop: str = static(default="log_likelihood")
    accelerate: str | None = static(default=None)
    trace: int = static(default=0)  # iterations whose objective is kept
    remaining: float | jax.Array = (
        jnp.inf
    )  # nats that Aitken's rule may see left to gain where a run ends
    assignment: str = static(default="soft")  # "hard": classification EM
    exponent: float | jax.Array | None = None  # of tempered responsibilities; None for 1

    @property
    def soft(self) -> bool:
        """Whether the objective is the likelihood: neither hard nor tempered."""
        return self.assignment == "soft" and self.exponent is None


@pytree
class Point:
    """Where a run stands. The mean log-likelihood is ll_reference + ll_offset: two floats, so that
    small differences survive in float32."""

    params: Params
    stats: Stats
    ll_reference: jax.Array  # f[]
    ll_offset: jax.Array  # f[]
    log_prior: jax.Array  # f[], per unit weight
    logit_magnitude: jax.Array  # f[], mean size of a logit's terms: what rounding acts on


@pytree
class Run:
    """A run of EM between two steps: the carry of the compiled loop."""

    point: Point
    status: jax.Array  # i[]
    n_iter: jax.Array  # i[], -1 before the first E-step
    gain: jax.Array  # f[], of the last accepted step
    gain_before: jax.Array  # f[], of the one before
    gain_since_progress: jax.Array  # f[], gain added up since this sum last exceeded rounding
    steps_without_progress: jax.Array  # i[], steps since then
    steps_below_tol: jax.Array  # i[], steps in a row that satisfied the stopping rule
    memory: accelerators.Memory | None  # None for plain EM
    record: jax.Array | None = None  # f[trace + 1], the objective after each iteration, or None


def expect(model, control: Control, params, prepared, reference):
    """The model's E-step, hard or tempered where the control says so."""
    if control.soft:
        found = model.expect(params, prepared, reference)
    else:
        hard = control.assignment == "hard"
        found = model.expect_assigned(params, prepared, reference, hard, control.exponent)
    return narrowed(found, reference.dtype)


def narrowed(tree: T, dtype: DType) -> T:
    """The tree with its floats in `dtype`: a float64 constant of a model must not widen a fit."""

    def narrow(leaf: ArrayLike) -> jax.Array:
        array = jnp.asarray(leaf)
        return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array

    return jax.tree.map(narrow, tree)


def evaluate(model, control: Control, params, prepared, reference) -> Point:
    """The point of these parameters, by one E-step."""
    found = expect(model, control, params, prepared, reference)
    return point_of(model, params, reference, found, prepared.weight)


def point_of(model, params, reference, found, weight) -> Point:
    """The point of parameters from what the E-step `found`; `weight` f[] is the total weight."""
    stats, total, magnitude = found
    prior = jnp.asarray(model.log_prior(params), total.dtype)
    return Point(params, stats, reference, total / weight, prior / weight, magnitude / weight)


def objective(point: Point) -> jax.Array:
    """Log-likelihood plus log prior per unit weight, without the constant base."""
    return point.ll_reference + point.ll_offset + point.log_prior


def difference(new: Point, old: Point) -> jax.Array:
    """Gain in objective per unit weight, from differences of parts, not of two large sums.

    Its error is 1e-7 to 1e-6 in float32. The float64 mean of the gains of single rows would have
    an error of 6e-8 to 3e-7, hardly less: all rows share the rounding of the coefficients.
    """
    reference = new.ll_reference - old.ll_reference
    return reference + (new.ll_offset - old.ll_offset) + (new.log_prior - old.log_prior)


def start(model, params, prepared, control: Control) -> Run:
    """A run that has not begun: its first step is the E-step at `params`."""
    zero = jnp.zeros((), prepared.base.dtype)
    shapes = jax.eval_shape(lambda p: expect(model, control, p, prepared, zero)[0], params)
    stats = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    count = jnp.zeros((), jnp.int32)
    memory = None
    if control.accelerate is not None:
        depth = accelerators.DEPTHS[control.accelerate]
        memory = accelerators.blank(ravel_pytree(params)[0].size, zero.dtype, depth)
    point, inf = Point(params, stats, zero, zero + jnp.nan, zero, zero), zero + jnp.inf
    record = jnp.full((control.trace + 1,), jnp.nan, zero.dtype) if control.trace else None
    return Run(
        point, count + Status.RUNNING, count - 1, inf, inf, zero, count, count, memory, record
    )


@pytree
class Proposal:
    """Where a step would go, before its E-step."""

    params: Params
    reference: jax.Array  # f[], mean log density that the E-step's sum is taken about
    bold: jax.Array  # b[], whether the parameters are an extrapolation
    memory: accelerators.Memory | None


def step(model, prepared, control: Control, run: Run) -> Run:
    """One EM iteration. A step that fails, lowers the objective or is not finite is refused, and
    the run ends there with a status.

    The first step of a run evaluates the starting parameters as they are. A refused extrapolation
    of an accelerator ends nothing: the next step is the plain one from the same point.
    """
    proposal = propose(model, control, run)
    new = evaluate(model, control, proposal.params, prepared, proposal.reference)
    return judge(model, prepared, control, run, proposal, new)


def propose(model, control: Control, run: Run) -> Proposal:
    """The M-step of a run, and its accelerator."""
    old, fresh = run.point, run.n_iter < 0
    moved = narrowed(model.m_step(old.stats, old.params), old.ll_offset.dtype)
    plain = select(fresh, old.params, moved)
    params, bold, memory = _accelerated(model, control, run, plain)
    level = old.ll_reference + old.ll_offset
    level = jnp.where(level > IMPOSSIBLE, level, 0)
    return Proposal(params, select(fresh, old.ll_reference, level), bold, memory)


def judge(model, prepared, control: Control, run: Run, proposal: Proposal, new: Point) -> Run:
    """The run after a proposal whose E-step gave the point `new`. Of the prepared data it reads
    what the model's `health` reads, and no rows."""
    old, fresh, bold, memory = run.point, run.n_iter < 0, proposal.bold, proposal.memory
    health = model.health(proposal.params, select(fresh, new.stats, old.stats), prepared)
    gain = jnp.where(fresh, jnp.inf, difference(new, old))
    monotone = bold | health.monotone
    refusal = _refusal(control, new, old, gain, health.status, fresh, monotone)
    accepted = refusal == Status.RUNNING
    small = accepted & ~fresh & _small(model, control, run, new, gain, prepared)
    gain_since, idle = _progress(control, run, gain, old, accepted, monotone)
    n_iter = run.n_iter + 1
    # A refused proposal says nothing about the point at which the run stays.
    before = run.steps_below_tol
    below_tol = jnp.where(small, before + 1, jnp.where(accepted, 0, before))
    enough = 1 if control.accelerate is None else accelerators.CALM
    verdict = jnp.select(
        [~accepted & ~bold, below_tol >= enough, idle >= PATIENCE, n_iter >= control.max_iter],
        [refusal, Status.CONVERGED, Status.STALLED, Status.MAX_ITER],
        Status.RUNNING,
    ).astype(jnp.int32)
    # A start that cannot be evaluated is kept as it was given.
    point = select(accepted | fresh, new, old)
    if memory is not None:
        memory = select(accepted, memory, accelerators.forget(memory))
    last, before = select(accepted, (gain, run.gain), (run.gain, run.gain_before))
    record = run.record
    if record is not None:
        record = record.at[n_iter].set(objective(point), mode="drop")
    progress = gain_since, idle, below_tol
    return Run(point, verdict, n_iter, last, before, *progress, memory, record)


def select(keep: Array, new: T, old: T) -> T:
    """Leaf by leaf, `new` where `keep`, else `old`."""
    return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)


def _accelerated(model, control, run, plain):
    """The next parameters, whether they are an extrapolation b[], and the new memory."""
    if control.accelerate is None:
        return plain, jnp.zeros((), bool), None
    propose = accelerators.ACCELERATORS[control.accelerate]
    output, unravel = ravel_pytree(plain)
    proposal, bold, memory = propose(run.memory, output)
    # The first step does not move: the memory begins at the given parameters.
    begun = replace(run.memory, last_input=output)
    params = select(bold, model.retract(unravel(proposal)), plain)
    return params, bold, select(run.n_iter < 0, begun, memory)


def _refusal(control, new, old, gain, sick, fresh, monotone):
    """RUNNING for an acceptable step, else the status that says why it is refused, worst first;
    `sick` is the status by the model's `health`. A lower objective is a reason only where a step
    should never lower it (`monotone`)."""
    sound = jnp.isfinite(objective(new)) & finite(new.params)
    poisoned = fresh & ~finite(new.stats)  # by the data, since no step has moved parameters yet
    guarded, noise = ~fresh & jnp.asarray(control.guard) & monotone, _noise(old)
    fell, slipped = guarded & (gain < -DECREASE_THRESHOLD * noise), guarded & (gain < -noise)
    return jnp.select(
        [poisoned, sick != Status.RUNNING, ~sound, fell, slipped],
        [Status.NONFINITE, sick, Status.NONFINITE, Status.DECREASED, Status.STALLED],
        Status.RUNNING,
    ).astype(jnp.int32)


def _progress(control, run, gain, old, accepted, monotone):
    """The gain since it last exceeded rounding f[], and the number of steps since then i[]. A flat
    objective counts as progress under the stopping rule "parameters", which does not watch it."""
    gain = jnp.where(monotone, gain, jnp.abs(gain))
    since = run.gain_since_progress + jnp.where(accepted & jnp.isfinite(gain), gain, 0)
    moved = (since > _noise(old)) | (run.n_iter <= 0) | (control.stop == "parameters")
    return jnp.where(moved, 0, since), jnp.where(moved, 0, run.steps_without_progress + 1)


def _small(model, control, run, new, gain, prepared):
    """Whether the step satisfies the stopping rule, and little enough remains to gain b[]."""
    old = run.point
    q_gain = gain
    if control.stop == "q":
        q_gain = model.expected_gain(old.stats, new.params, old.params) / prepared.weight
    seen = gain, run.gain, objective(new), old.params, new.params, q_gain
    if control.stop == "parameters":
        moves = (_in_data_units(model, point.params, prepared) for point in (old, new))
        seen = gain, run.gain, objective(new), *moves, q_gain
    settled = left_to_gain(gain, run.gain) <= control.remaining / prepared.weight
    return RULES[control.stop](*seen, control.tol) & settled


def _in_data_units(model, params, prepared):
    """Parameters in the units of the data, but with the origin of the standard units."""
    scaling = getattr(prepared, "scaling", None)
    if scaling is None:
        return params
    return model.from_scaled(params, replace(scaling, shift=jnp.zeros_like(scaling.shift)))


def _noise(point: Point) -> jax.Array:
    """The rounding error of the mean objective f[]: a unit in the last place of its terms."""
    eps = jnp.finfo(point.ll_offset.dtype).eps
    return eps * (1 + jnp.abs(objective(point)) + point.logit_magnitude)


def finite(tree: PyTree) -> jax.Array:
    """b[]: every number of the tree is finite."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
