"""The backend of Pallas that the fused kernel is written for; JAX 0.11 announces versions without
it."""

from typing import Any

triton: Any
try:
    from jax.experimental.pallas import triton
except ImportError:
    triton = None

AVAILABLE = triton is not None
