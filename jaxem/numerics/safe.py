"""Logarithms and quotients that stay finite.

The logarithm of zero is the finite number `NEGLIGIBLE`: times a moment of zero it is 0, where an
infinity would give NaN.
"""

import jax
import jax.numpy as jnp

NEGLIGIBLE = -1e30


def safe_log(x: jax.Array) -> jax.Array:
    """log(x), and the finite `NEGLIGIBLE` where x <= 0; its gradient there is 0, not NaN."""
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1)), NEGLIGIBLE)


def safe_divide(numerator: jax.Array, denominator: jax.Array, otherwise: jax.Array) -> jax.Array:
    """numerator / denominator, and `otherwise` where the denominator is not positive."""
    positive = denominator > 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1), otherwise)
