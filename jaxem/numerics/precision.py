"""One helper every contraction goes through, so that no product ever runs in TF32 by accident.

XLA's default float32 product on recent GPUs is TF32 (10 bits of mantissa); `einsum` asks for
`HIGHEST`, true float32. Logarithms of zero are the finite number `NEGLIGIBLE`: an infinity times
a zero moment would be NaN, this is 0.
"""

import jax
import jax.numpy as jnp

NEGLIGIBLE = -1e30


def einsum(spec: str, *operands: jax.Array) -> jax.Array:
    """`jnp.einsum` at full precision of the operands' dtype."""
    return jnp.einsum(spec, *operands, precision=jax.lax.Precision.HIGHEST)


def safe_log(x: jax.Array) -> jax.Array:
    """log(x), and the finite `NEGLIGIBLE` where x <= 0; its gradient there is 0, not NaN."""
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1)), NEGLIGIBLE)


def safe_divide(numerator: jax.Array, denominator: jax.Array, otherwise: jax.Array) -> jax.Array:
    """numerator / denominator, and `otherwise` where the denominator is not positive."""
    positive = denominator > 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1), otherwise)
