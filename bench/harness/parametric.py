"""SQUAREM on the parameters, as the R packages have it, beside jaxem's on the statistics."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

import jaxem
from jaxem import accelerate
from jaxem.engine import select
from jaxem.numerics import cholesky
from jaxem.pytree import replace


def traces(model: jaxem.Mixture, starts, z: jax.Array, steps: int) -> jax.Array:
    """Objective per row f[starts, steps] of each start after each E-step, never falling.

    Extrapolated are log weights, means and Cholesky factors with logarithmic diagonals: all of
    space, so that every proposal is a mixture.
    """
    return jax.jit(jax.vmap(lambda params: _trace(model, params, z, steps)))(starts)


def _trace(model, params, z, steps):
    prepared = model.prepare(z)
    zero = jnp.zeros((), z.dtype)
    vector, unravel = ravel_pytree(_free(params))

    def evaluate(vector):
        stats, total, _ = model.expect(_mixture(params, unravel(vector)), prepared, zero)
        return stats, (total + prepared.base) / prepared.weight

    def step(carry, _):
        vector, stats, value, memory = carry
        plain = model.m_step(stats, _mixture(params, unravel(vector)))
        output = ravel_pytree(_free(plain))[0]
        proposal, _, memory = accelerate.squarem(memory, output)
        new_stats, new_value = evaluate(proposal)
        fine = jnp.isfinite(new_value) & (new_value >= value - 1e-14 * jnp.abs(value))
        memory = select(fine, memory, accelerate.forget(memory))
        new = proposal, new_stats, new_value
        vector, stats, value = select(fine, new, (vector, stats, value))
        return (vector, stats, value, memory), value

    memory = replace(accelerate.blank(vector.size, z.dtype, 0), last_input=vector)
    start = vector, *evaluate(vector), memory
    return jax.lax.scan(step, start, length=steps)[1]


def _free(params):
    root = cholesky(params.covariances)
    diagonal = jnp.log(jnp.diagonal(root, axis1=-2, axis2=-1))
    return jnp.log(params.weights), params.means, jnp.tril(root, -1), diagonal


def _mixture(like, free):
    log_weights, means, below, diagonal = free
    root = below + jnp.exp(diagonal)[..., None] * jnp.eye(diagonal.shape[-1])
    covariances = jnp.einsum("kij,klj->kil", root, root, precision="highest")
    components = replace(like.components, means=means, covariances=covariances)
    return replace(like, weights=jax.nn.softmax(log_weights), components=components)
