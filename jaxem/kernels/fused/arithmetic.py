"""Arithmetic inside a GPU kernel: instructions that the compiler does not choose by itself.

XLA compiles Triton kernels without contracting a·b + c, which costs two instructions instead of
one, and the library's logarithm, division and exponential handle numbers that do not occur here.
On NVIDIA GPUs the PTX instructions are named; elsewhere they are plain array operations.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.types import DType
from jaxem.kernels.fused.triton import triton


class Arithmetic(NamedTuple):
    """Functions of arrays; those of two or three arguments broadcast."""

    multiply_add: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # a b + c
    exp_nonpositive: Callable[[jax.Array], jax.Array]  # exp(x) for x <= 0
    inverse: Callable[[jax.Array], jax.Array]  # 1 / x for x >= 1
    log: Callable[[jax.Array], jax.Array]  # log(x) for x >= 1


def arithmetic(ptx: bool, dtype: DType) -> Arithmetic:
    """The functions for float32 or float64, by PTX instructions where `ptx`."""
    if dtype == jnp.float32:
        return _PTX32 if ptx else _PLAIN32
    return _PTX64 if ptx else _PLAIN64


def _instruction(name: str, kind: str) -> Callable[..., jax.Array]:
    """One instruction on registers of a kind: "f" for f32, "d" for f64."""

    def call(*arguments):
        shape = jnp.broadcast_shapes(*(a.shape for a in arguments))
        places = ", ".join(f"${i}" for i in range(len(arguments) + 1))
        (out,) = triton.elementwise_inline_asm(
            f"{name} {places};",
            args=[jnp.broadcast_to(a, shape) for a in arguments],
            constraints=",".join([f"={kind}", *kind * len(arguments)]),
            pack=1,
            result_shape_dtypes=[jax.ShapeDtypeStruct(shape, arguments[0].dtype)],
        )
        return out

    return call


_exp2, _log2 = _instruction("ex2.approx.ftz.f32", "f"), _instruction("lg2.approx.ftz.f32", "f")

_PLAIN64 = Arithmetic(lambda a, b, c: a * b + c, jnp.exp, lambda x: 1 / x, jnp.log)

_PLAIN32 = _PLAIN64._replace(exp_nonpositive=lambda x: jnp.exp2(x * np.float32(np.log2(np.e))))

_PTX64 = _PLAIN64._replace(multiply_add=_instruction("fma.rn.f64", "d"))

# Errors (PTX ISA, Floating Point Instructions): 2^x to 2^-22 relative, the inverse to a unit in its
# last place, the logarithm of x <= 2 to 2^-22 absolute and of others to that relative.
_PTX32 = Arithmetic(
    multiply_add=_instruction("fma.rn.f32", "f"),
    exp_nonpositive=lambda x: _exp2(x * np.float32(np.log2(np.e))),
    inverse=_instruction("rcp.approx.ftz.f32", "f"),
    log=lambda x: _log2(x) * np.float32(np.log(2)),
)
