"""The command line computes in float64, whatever JAX's default is."""

from contextlib import AbstractContextManager

import jax


def float64() -> AbstractContextManager:
    """A block within which JAX keeps float64."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64(True)
