"""Random keys as callers give them: a JAX key, or an integer as its seed."""

import jax
import jax.numpy as jnp
import numpy as np


def as_key(key: object) -> jax.Array:
    """The key of a call: an integer s stands for `jax.random.key(s)`; a typed key and a raw key of
    an old style, uint32[2] (uint32[4] of the "rbg" kinds), stay. ValueError for anything else.
    """
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return _key_of(int(key))
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    raw = dtype == np.uint32 and shape in ((2,), (4,))
    if typed or raw:
        return key  # type: ignore[return-value]
    got = type(key).__name__ if dtype is None else f"{dtype}{list(shape or ())}"
    raise ValueError(
        f"key must be one random key or an integer, key=jax.random.key(0) or key=0; got {got}."
    )


def _key_of(seed: int) -> jax.Array:
    """`jax.random.key(seed)`; of common seeds the same bits without compiling two programs."""
    usual = jax.config.values["jax_default_prng_impl"] == "threefry2x32"
    if usual and 0 <= seed < 1 << 31:
        return jax.random.wrap_key_data(jax.device_put(np.array([0, seed], np.uint32)))
    try:
        return jax.random.key(seed)
    except OverflowError:
        raise ValueError(f"key must fit in 64 bits; got {seed}. Write key=0.") from None
