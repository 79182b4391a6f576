"""One helper every contraction goes through, so that no product ever runs in TF32 by accident.

XLA's default float32 product on recent GPUs is TF32 (10 bits of mantissa); `einsum` asks for
`HIGHEST`, true float32; a fast mode has to be named. Logarithms of zero are the finite number
`NEGLIGIBLE`: an infinity times a zero moment would be NaN, this is 0.
"""

from functools import partial

import jax
import jax.numpy as jnp

NEGLIGIBLE = -1e30

#: Precision of float32 products by name. "tf32x3" and "bf16x3" are three products on matrix units,
#: 21 to 22 bits of mantissa together and 16 to 17.
PRECISIONS = {
    "float32": jax.lax.Precision.HIGHEST,
    "tf32x3": jax.lax.DotAlgorithmPreset.TF32_TF32_F32_X3,
    "bf16x3": jax.lax.DotAlgorithmPreset.BF16_BF16_F32_X3,
}

#: Their unit roundoff, in that of float32.
ROUNDOFF = {"float32": 1, "tf32x3": 4, "bf16x3": 128}

#: Platforms whose matrix units take the fast ones; others compute exactly.
FAST = {"tf32x3": ("cuda",), "bf16x3": ("cuda", "tpu")}


def check_precision(name: str) -> None:
    """ValueError for a precision that does not exist."""
    if name not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {name!r}.")


def einsum(spec: str, *operands: jax.Array, precision: str = "float32") -> jax.Array:
    """`jnp.einsum` at full precision of the operands' dtype; float32 ones as `precision` says."""
    check_precision(precision)
    if operands[0].dtype != jnp.float32:
        precision = "float32"
    return jnp.einsum(spec, *operands, precision=PRECISIONS[precision])


def device_einsum(spec: str, *operands: jax.Array, precision: str = "float32") -> jax.Array:
    """`einsum` whose fast precisions hold where the device has them, and are exact elsewhere."""
    exact = partial(einsum, spec)
    if precision == "float32":
        return exact(*operands)
    check_precision(precision)
    fast = partial(einsum, spec, precision=precision)
    platforms = dict.fromkeys(FAST[precision], fast)
    return jax.lax.platform_dependent(*operands, **platforms, default=exact)


def safe_log(x: jax.Array) -> jax.Array:
    """log(x), and the finite `NEGLIGIBLE` where x <= 0; its gradient there is 0, not NaN."""
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1)), NEGLIGIBLE)


def safe_divide(numerator: jax.Array, denominator: jax.Array, otherwise: jax.Array) -> jax.Array:
    """numerator / denominator, and `otherwise` where the denominator is not positive."""
    positive = denominator > 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1), otherwise)
