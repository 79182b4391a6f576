"""Fewer EM steps: propose statistics further along the path, know no model.

EM is the fixed-point map s → F(s) on the statistics: M-step, then E-step. Statistics are a linear
space that the M-step always maps back to parameters, so they are what is extrapolated; a proposal
that lowers the objective or leaves the feasible set is refused by the engine, which then takes
the plain step from where it stood. One E-step per proposal, accepted or not.

Anderson mixing: Walker and Ni (2011, SIAM J. Numer. Anal. 49, 1715), eq. 2.2; for EM, Henderson
and Varadhan (2019, J. Comput. Graph. Stat. 28, 834). SQUAREM: Varadhan and Roland (2008, Scand. J.
Stat. 35, 335), step length S3.
"""

import jax
import jax.numpy as jnp

from jaxem.numerics import einsum, inverse_factor
from jaxem.pytree import pytree

#: Differences that Anderson mixing remembers.
DEPTH = 4

#: Plain steps more than a restart needs, before the first proposal: early steps choose the basin.
WARM_UP = 3


@pytree
class Memory:
    """What a lane remembers of its path, statistics flattened to f[q]."""

    last_input: jax.Array  # f[q], the statistics that the last M-step was given
    last_output: jax.Array  # f[q], the statistics found when that step was proposed
    last_residual: jax.Array  # f[q]
    d_output: jax.Array  # f[m, q]
    d_residual: jax.Array  # f[m, q]
    age: (
        jax.Array
    )  # i[], steps since the last refusal; from 1 the residual is known, from 2 its change


def blank(size: int, dtype, depth: int = DEPTH) -> Memory:
    """An empty memory for statistics of `size` numbers."""
    zero = jnp.zeros((size,), dtype)
    table = jnp.zeros((depth, size), dtype)
    return Memory(zero, zero, zero, table, table, jnp.full((), -WARM_UP, jnp.int32))


def forget(memory: Memory) -> Memory:
    """Start again, after a refusal: the next two proposals are plain."""
    return Memory(
        memory.last_input,
        memory.last_output,
        memory.last_residual,
        jnp.zeros_like(memory.d_output),
        jnp.zeros_like(memory.d_residual),
        jnp.zeros_like(memory.age),
    )


def anderson(memory: Memory, output: jax.Array) -> tuple[jax.Array, jax.Array, Memory]:
    """The proposal f[q] from the newest statistics, whether it is more than plain EM, memory."""
    residual = output - memory.last_input
    depth = memory.d_output.shape[0]
    slot = jnp.arange(depth)[:, None] == memory.age % depth
    known = memory.age >= 2
    d_output = jnp.where(slot & known, (output - memory.last_output)[None], memory.d_output)
    d_residual = jnp.where(slot & known, (residual - memory.last_residual)[None], memory.d_residual)
    gram = einsum("iq,jq->ij", d_residual, d_residual)
    diagonal = jnp.diagonal(gram)
    # Empty slots get a unit pivot; the ridge keeps parallel differences solvable.
    eps = jnp.finfo(gram.dtype).eps
    lift = jnp.where(diagonal > 0, 10 * eps * jnp.max(diagonal), 1)
    w, _, ok = inverse_factor(gram + jnp.diag(lift))
    right = einsum("iq,q->i", d_residual, residual)
    mix = einsum("ji,jk,k->i", w, w, right)
    proposal = output - einsum("i,iq->q", mix, d_output)
    trusted = ok & known & jnp.all(jnp.isfinite(proposal))
    proposal = jnp.where(trusted, proposal, output)
    age = memory.age + 1
    return proposal, trusted, Memory(proposal, output, residual, d_output, d_residual, age)


def squarem(memory: Memory, output: jax.Array) -> tuple[jax.Array, jax.Array, Memory]:
    """Two plain steps, then one along the parabola through them."""
    residual = output - memory.last_input
    bend = residual - memory.last_residual
    before = memory.last_input - memory.last_residual
    length = jnp.sum(memory.last_residual**2) / jnp.sum(bend**2)
    step = -jnp.maximum(jnp.sqrt(length), 1)
    proposal = before - 2 * step * memory.last_residual + step**2 * bend
    turn = (memory.age >= 2) & (memory.age % 3 == 2)
    trusted = turn & jnp.all(jnp.isfinite(proposal))
    proposal = jnp.where(trusted, proposal, output)
    age = memory.age + 1
    table = memory.d_output, memory.d_residual
    return proposal, trusted, Memory(proposal, output, residual, *table, age)


ACCELERATORS = {"anderson": anderson, "squarem": squarem}
DEPTHS = {"anderson": DEPTH, "squarem": 0}
