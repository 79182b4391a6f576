"""The policy for float64: float64 data are computed in float64, whatever JAX's global setting."""

from contextlib import AbstractContextManager, nullcontext

import jax
import numpy as np

from jaxem.core.types import DType

try:
    from jax import enable_x64 as enable_x64
except ImportError:  # before jax 0.8
    from jax.experimental import enable_x64 as enable_x64  # type: ignore[attr-defined]


def precision_of(dtype: DType) -> AbstractContextManager[object]:
    """The context in which to compute data of this dtype: with float64 enabled for float64 data,
    whatever JAX's global setting."""
    wide = dtype == np.float64 and not jax.config.jax_enable_x64  # type: ignore[attr-defined]
    return enable_x64(True) if wide else nullcontext()
