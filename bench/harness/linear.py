"""SQUAREM on what can be added: the parameters, as the engine has it, or the statistics."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

import jaxem
from jaxem.engine import accelerators, select


def on_statistics(model: jaxem.Mixture, starts, z: jax.Array, steps: int) -> jax.Array:
    """Objective per row f[starts, steps] of each start after each E-step, never falling.

    The path of the statistics is extrapolated and the M-step makes parameters of each point.
    """
    return jax.jit(jax.vmap(lambda params: _trace(model, params, z, steps)))(starts)


def _trace(model, params, z, steps):
    prepared = model.prepare(z)
    zero = jnp.zeros((), z.dtype)

    def evaluate(params):
        stats, total, _ = model.expect(params, prepared, zero)
        return stats, (total + prepared.base) / prepared.weight

    stats, value = evaluate(params)
    flat, unravel = ravel_pytree(stats)

    def step(carry, _):
        params, output, value, memory = carry
        proposal, _, memory = accelerators.squarem(memory, output)
        legal = jnp.all(unravel(proposal).moments[:, 0] > 0)
        new = model.m_step(unravel(proposal), params)
        new_stats, new_value = evaluate(new)
        fine = legal & jnp.isfinite(new_value) & (new_value >= value - 1e-14 * jnp.abs(value))
        memory = select(fine, memory, accelerators.forget(memory))
        kept = new, ravel_pytree(new_stats)[0], new_value
        params, output, value = select(fine, kept, (params, output, value))
        return (params, output, value, memory), value

    memory = accelerators.blank(flat.size, z.dtype, 0)
    return jax.lax.scan(step, (params, flat, value, memory), length=steps)[1]
