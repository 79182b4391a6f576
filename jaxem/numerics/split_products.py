"""One helper every contraction goes through, so that no product ever runs in TF32 by accident.

XLA's default float32 product on recent GPUs is TF32 (10 bits of mantissa); `einsum` asks for
`HIGHEST`, true float32; a fast mode has to be named. Logarithms of zero are the finite number
`NEGLIGIBLE`: an infinity times a zero moment would be NaN, this is 0.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

NEGLIGIBLE = -1e30

#: Precision of float32 products by name. "tf32x3" and "bf16x3" are three products on matrix units,
#: 21 to 22 bits of mantissa together and 16 to 17; what such a unit adds up it cuts off.
PRECISIONS = {
    "float32": jax.lax.Precision.HIGHEST,
    "tf32x3": jax.lax.DotAlgorithmPreset.TF32_TF32_F32_X3,
    "bf16x3": jax.lax.DotAlgorithmPreset.BF16_BF16_F32_X3,
}

_TF32: Any = jax.lax.DotAlgorithmPreset.TF32_TF32_F32

#: Terms that a matrix unit adds up before float32 takes over.
_PIECE = 1024

#: Their unit roundoff, in that of float32: of "tf32x3" not that of its parts, but what sums lose
#: (moments of 50,000 rows are off by 6e-6 to 9e-6, measured on an H200).
ROUNDOFF = {"float32": 1, "tf32x3": 64, "bf16x3": 128}

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
    check_precision(precision)
    if precision == "float32" or operands[0].dtype != jnp.float32:
        return exact(*operands)
    fast = (
        partial(_by_parts, spec) if precision == "tf32x3" else partial(exact, precision=precision)
    )
    platforms = dict.fromkeys(FAST[precision], fast)
    return jax.lax.platform_dependent(*operands, **platforms, default=exact)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _by_parts(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """a b as high·high + high·low + low·high, each a TF32 product of the library's, where XLA's
    own three products take as long as one in float32. Along a short sum the parts stand one after
    the other, so that a wide result is written once; a long one is `_long_sum`.
    """
    left, right, out = spec.replace(",", "->").split("->")
    (common,) = (axis for axis in left if axis in right and axis not in out)
    axis, other = left.index(common), right.index(common)
    if b.shape[other] > b.shape[1 - other]:
        return _long_sum(left, right, out, common, a, b)
    (high, low), (b_high, b_low) = _halves(_aligned(a, axis)), _halves(_aligned(b, other))
    join = jnp.concatenate
    parts = join([high, high, low], axis), join([b_high, b_low, b_high], other)
    return jnp.einsum(spec, *parts, precision=_TF32)


@_by_parts.defjvp
def _(spec, primals, tangents):
    a, b = primals
    return _by_parts(spec, a, b), einsum(spec, tangents[0], b) + einsum(spec, a, tangents[1])


def _long_sum(left, right, out, common, a, b):
    """The product whose sum is long, piece by piece: matrix units cut off what they add up instead
    of rounding it, which over 50,000 terms amounts to 3e-4."""
    axis, other = left.index(common), right.index(common)
    width, keep = b.shape[1 - other], right[1 - other]
    (high, low), (b_high, b_low) = _halves(a), _halves(_aligned(b, 1 - other))
    high, low = _in_pieces(high, axis), _in_pieces(low, axis)
    b_high, b_low = _in_pieces(b_high, other), _in_pieces(b_low, other)
    pieces = "z" + common
    spec = f"{left.replace(common, pieces)},{right.replace(common, pieces)}->z{out}"
    fast = partial(jnp.einsum, spec, precision=_TF32)
    wide = jnp.sum(fast(high, jnp.concatenate([b_high, b_low], 2 * (1 - other))), axis=0)
    first, second = jnp.split(wide, 2, axis=out.index(keep))
    sums = first + (second + jnp.sum(fast(low, b_high), axis=0))
    return jax.lax.slice_in_dim(sums, 0, width, axis=out.index(keep))


def _aligned(x: jax.Array, axis: int) -> jax.Array:
    """x with zeros along the axis to a multiple of 16: the library's fast kernels want that."""
    return _padded(x, axis, 16)


def _in_pieces(x: jax.Array, axis: int) -> jax.Array:
    """The axis cut into (pieces, `_PIECE`)."""
    x = _padded(x, axis, _PIECE)
    return x.reshape(*x.shape[:axis], -1, _PIECE, *x.shape[axis + 1 :])


def _padded(x: jax.Array, axis: int, multiple: int) -> jax.Array:
    spare = [(0, 0)] * x.ndim
    spare[axis] = (0, -x.shape[axis] % multiple)
    return jnp.pad(x, spare)


def _halves(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x rounded to the 11 bits of a TF32 number, and the rest."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32) + np.uint32(1 << 12)
    high = jax.lax.bitcast_convert_type(bits & np.uint32(0xFFFFE000), jnp.float32)
    return high, x - high


def safe_log(x: jax.Array) -> jax.Array:
    """log(x), and the finite `NEGLIGIBLE` where x <= 0; its gradient there is 0, not NaN."""
    positive = x > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, x, 1)), NEGLIGIBLE)


def safe_divide(numerator: jax.Array, denominator: jax.Array, otherwise: jax.Array) -> jax.Array:
    """numerator / denominator, and `otherwise` where the denominator is not positive."""
    positive = denominator > 0
    return jnp.where(positive, numerator / jnp.where(positive, denominator, 1), otherwise)
