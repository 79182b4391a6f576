"""Pallas' backend for Triton, which the fused kernel is written for. It is None where JAX has none:
JAX 0.11 announces its end."""

from typing import Any

triton: Any
try:
    from jax.experimental.pallas import triton
except ImportError:
    triton = None

AVAILABLE = triton is not None
