"""float32 products as three products of TF32 halves, on matrix units."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

_TF32 = jax.lax.DotAlgorithmPreset.TF32_TF32_F32

#: Terms that a matrix unit adds up before float32 takes over.
_PIECE = 1024


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def by_parts(spec: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """a b as high·high + high·low + low·high, each a TF32 product of the library. (XLA's own three
    products take as long as one in float32.) For a short sum the parts are concatenated along it,
    so that the result, which is large, is written once; a long sum is `_long_sum`.
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


@by_parts.defjvp
def _(spec, primals, tangents):
    a, b = primals
    exact = partial(jnp.einsum, spec, precision=jax.lax.Precision.HIGHEST)
    return by_parts(spec, a, b), exact(tangents[0], b) + exact(a, tangents[1])


def _long_sum(left, right, out, common, a, b):
    """The product for a long sum, piece by piece: matrix units truncate their sums instead of
    rounding them, which is an error of 3e-4 over 50,000 terms."""
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
    """x with zeros along the axis to a multiple of 16, which the library's fast kernels need."""
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
