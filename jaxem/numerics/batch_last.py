"""Batches of small arrays as long vectors: all axes of a `vmap` are one last axis."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jaxem.core.compiled import jitted

T = TypeVar("T", jax.Array, tuple[jax.Array, ...])


def batch_minor(function: Callable[..., T]) -> Callable[..., T]:
    """A function of arrays f[..., b] as one of arrays f[b, ...]; under `vmap`, f[lanes, b, ...].

    Operations along the last axis of a small matrix use a few entries of a vector register. With
    lanes and components as one batch on the last axis, they fill it. The result has no derivatives:
    callers define them, in the layout that is best for them.
    """

    @custom_vmap
    def call(*args: jax.Array) -> T:
        out = function(*(jnp.moveaxis(arg, 0, -1) for arg in args))
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), out)

    @call.def_vmap
    def _(size: int, batched: list[bool], *args: jax.Array) -> tuple[T, object]:
        lanes = [
            arg if has_lanes else jnp.broadcast_to(arg, (size, *arg.shape))
            for arg, has_lanes in zip(args, batched, strict=True)
        ]
        out = call(*(arg.reshape((-1, *arg.shape[2:])) for arg in lanes))
        out = jax.tree.map(lambda leaf: leaf.reshape((size, -1, *leaf.shape[1:])), out)
        return out, jax.tree.map(lambda _: True, out)

    return jitted(call)
