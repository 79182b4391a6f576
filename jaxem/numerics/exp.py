"""exp for arguments that are not positive, at half the price of XLA's on a CPU."""

import jax
import jax.numpy as jnp
import numpy as np

#: 2^f on [−½, ½] to 2e-9 relative, before rounding (least squares on Chebyshev nodes).
_POLYNOMIAL = (
    0.00015337577,
    0.001339986,
    0.009618520,
    0.05550329,
    0.24022646,
    0.69314718,
    1.0,
)


@jax.custom_jvp
def exp_nonpositive(x: jax.Array) -> jax.Array:
    """exp(x) for x <= 0, and 0 below −87; absolute error in float32 within 8.2e-8 on a CPU (6.7e-8
    where multiplications are fused with additions, as XLA does unless told not to optimise) and
    8.8e-8 on an H200."""
    if x.dtype != np.float32:
        return jnp.exp(x)
    return jax.lax.platform_dependent(x, cpu=_by_polynomial, default=jnp.exp)


@exp_nonpositive.defjvp
def _(primals, tangents):
    value = exp_nonpositive(*primals)
    return value, value * tangents[0]


def _by_polynomial(x):
    """2^(n + f) = 2^n · p(f), n the nearest whole number to x log₂e.

    A comparison keeps NaN in one instruction, where `maximum` takes four. 2^n is made of its bits,
    the last bits of n + 1.5 · 2²³ + 127: this sum is too large to have a fraction. A conversion
    to integers would first have to test n.
    """
    y = x * np.float32(1.442695041)
    y = jnp.where(y < np.float32(-127), np.float32(-127), y)
    n = jnp.round(y)
    f = y - n
    p = jnp.full_like(f, _POLYNOMIAL[0])
    for coefficient in _POLYNOMIAL[1:]:
        p = p * f + np.float32(coefficient)
    biased = jax.lax.bitcast_convert_type(n + np.float32(1.5 * 2**23 + 127), jnp.int32)
    return p * jax.lax.bitcast_convert_type(biased << 23, jnp.float32)
