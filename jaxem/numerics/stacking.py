"""Rows stacked into one matrix, by the quickest operation of each platform."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def stack_rows(parts: Sequence[jax.Array]) -> jax.Array:
    """Concatenate f[p_i, n] along the rows: f[Σ p_i, n].

    XLA's CPU code for a concatenation of many pieces tests every element against every piece;
    writing the pieces into place costs a tenth of that. Elsewhere a concatenation fuses.
    """
    return jax.lax.platform_dependent(tuple(parts), cpu=_written, default=jnp.concatenate)


def _written(parts: Sequence[jax.Array]) -> jax.Array:
    rows = sum(part.shape[0] for part in parts)
    out = jnp.zeros((rows, parts[0].shape[1]), parts[0].dtype)
    at = 0
    for part in parts:
        out = jax.lax.dynamic_update_slice(out, part, (at, 0))
        at += part.shape[0]
    return out
