"""One run of EM, no batch: the point, the controls, one guarded step. It owns status and stopping.

A point carries parameters, their statistics and their objective, all three belonging to the same
parameters: a step is M first, then E. So the reported likelihood is that of the reported
parameters, and refusing a step costs nothing but that step.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxem.pytree import pytree, static
from jaxem.status import Status
from jaxem.stopping import RULES

#: A flat step (gain within rounding) this many times in a row is STALLED.
PATIENCE = 10


@pytree
class Control:
    """All but the rule's name is traced: a new tolerance compiles nothing."""

    tol: Any = 1e-6
    max_iter: Any = 500
    guard: Any = True  # refuse a step that lowers the objective
    stop: str = static(default="log_likelihood")


@pytree
class Point:
    """Where a run stands. The mean log-likelihood is level + rest: two floats, so that small
    differences survive in float32."""

    params: Any
    stats: Any
    level: jax.Array  # f[]
    rest: jax.Array  # f[]
    log_prior: jax.Array  # f[], per unit weight


@pytree
class Run:
    """The carry of the loop."""

    point: Point
    status: jax.Array  # i[]
    n_iter: jax.Array  # i[]
    gain: jax.Array  # f[], of the last accepted step
    flat: jax.Array  # i[], flat steps in a row


def evaluate(model, params, prepared, level) -> Point:
    """E-step at params: the complete point."""
    stats, total = model.expect(params, prepared, level)
    prior = model.log_prior(params) / prepared.weight
    return Point(params, stats, level, total / prepared.weight, prior)


def objective(point: Point) -> jax.Array:
    """Log-likelihood plus log prior per unit weight, without the constant base."""
    return point.level + point.rest + point.log_prior


def difference(new: Point, old: Point) -> jax.Array:
    """Gain in objective per unit weight, without subtracting two large sums."""
    return (new.level - old.level) + (new.rest - old.rest) + (new.log_prior - old.log_prior)


def start(model, params, prepared) -> Run:
    """The first E-step; a start that cannot be evaluated ends here with its status."""
    zero = jnp.zeros((), prepared.base.dtype)
    first = evaluate(model, params, prepared, zero)
    level = jax.lax.stop_gradient(jnp.where(jnp.isfinite(first.rest), first.rest, 0))
    point = evaluate(model, params, prepared, level)
    status = model.diagnose(params, point.stats, prepared)
    singular = status == Status.SINGULAR
    finite = jnp.isfinite(objective(point)) & _finite(params)
    status = jnp.where(singular, Status.SINGULAR, Status.RUNNING)
    status = jnp.where(finite, status, Status.NONFINITE).astype(jnp.int32)
    count = jnp.zeros((), jnp.int32)
    return Run(point, status, count, jnp.full_like(zero, jnp.inf), count)


def step(model, prepared, control: Control, run: Run) -> Run:
    """One EM iteration, refused (with a status) when it fails, falls or leaves the numbers."""
    old = run.point
    params = model.m_step(old.stats, old.params)
    sick = model.diagnose(params, old.stats, prepared)
    new = evaluate(model, params, prepared, old.level + old.rest)
    gain = difference(new, old)
    floor = _noise(old, model)
    finite = jnp.isfinite(objective(new)) & _finite(params)
    fell = (gain < -floor) & jnp.asarray(control.guard)
    # Worst first: the first that holds decides.
    refusal = jnp.select(
        [~finite & (sick == Status.RUNNING), sick != Status.RUNNING, fell],
        [Status.NONFINITE, sick, Status.DECREASED],
        Status.RUNNING,
    ).astype(jnp.int32)
    accepted = refusal == Status.RUNNING
    point = select(accepted, new, old)
    n_iter = run.n_iter + 1
    # A flat likelihood ends a run only where the rule looks at the likelihood.
    watched = control.stop != "parameters"
    flat = jnp.where((jnp.abs(gain) <= floor) & watched, run.flat + 1, 0)
    small = _small(model, control, run, new, gain, prepared)
    verdict = jnp.select(
        [~accepted, small, flat >= PATIENCE, n_iter >= control.max_iter],
        [refusal, Status.CONVERGED, Status.STALLED, Status.MAX_ITER],
        Status.RUNNING,
    ).astype(jnp.int32)
    return Run(point, verdict, n_iter, jnp.where(accepted, gain, run.gain), flat)


def select(keep: jax.Array, new: Any, old: Any) -> Any:
    """Leaf by leaf, new where keep, else old."""
    return jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)


def _small(model, control, run, new, gain, prepared):
    old = run.point
    q_gain = gain
    if control.stop == "q":
        q_gain = model.expected_gain(old.stats, new.params, old.params) / prepared.weight
    rule = RULES[control.stop]
    return rule(gain, run.gain, objective(new), old.params, new.params, q_gain, control.tol)


def _noise(point: Point, model) -> jax.Array:
    """What rounding can do to the mean objective: a few units in its last place."""
    eps = jnp.finfo(point.rest.dtype).eps
    return 8 * eps * (1 + jnp.abs(objective(point)))


def _finite(tree: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))
