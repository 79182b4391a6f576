"""Random keys as users give them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_key(key: Any) -> jax.Array:
    """A JAX random key: a typed or an old-style one as it is, a whole number n as
    `jax.random.key(n)`. ValueError for anything else."""
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return jax.random.key(int(key))
    if isinstance(key, jax.Array | np.ndarray):
        typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        if (typed and key.shape == ()) or (key.dtype == np.uint32 and key.shape == (2,)):
            return key  # type: ignore[return-value]
    raise ValueError(
        f"key must be a whole number or one JAX random key, such as jax.random.key(0); got {key!r}."
    )
