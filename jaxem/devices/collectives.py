"""Sums over rows spread over devices: each device sums its own rows, and the sums are added."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxem.core.types import Array, PyTree

T = TypeVar("T")

#: The axis of rows in meshes.
ROWS = "rows"


def on_each(mesh: Mesh, function: Callable, in_specs: PyTree, out_specs: PyTree) -> Callable:
    """`function` on every device of the mesh, each with its part of the arguments by `in_specs`:
    `jax.shard_map` with `check_vma=False`."""

    def own(*args: PyTree) -> PyTree:
        # With jaxlib 0.11.2 (not 0.11.1 or 0.12) XLA ends the process in Shardy when a function
        # reads an argument of size 0, such as absent common features. Zeros replace those.
        return function(*jax.tree.map(lambda a: a if a.size else jnp.zeros(a.shape, a.dtype), args))

    return jax.shard_map(own, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def summed(mesh: Mesh | None, function: Callable) -> Callable:
    """`function(rows, rest)` with the leading axes of the leaves of `rows` spread over the mesh;
    its results must be sums over these axes. Without a mesh, the function itself."""
    if mesh is None:
        return function
    rows, whole = PartitionSpec(ROWS), PartitionSpec()

    def own(part, rest):
        return jax.lax.psum(function(part, rest), ROWS)

    return on_each(mesh, own, (rows, whole), whole)


def each_device(mesh: Mesh, function: Callable) -> Callable:
    """`function(rows, rest)` on every device for its own rows. It returns (a tree with rows as
    leading axes, sums over rows); the sums are added over devices."""
    rows, whole = PartitionSpec(ROWS), PartitionSpec()

    def own(part, rest):
        kept, sums = function(part, rest)
        return kept, jax.lax.psum(sums, ROWS)

    return on_each(mesh, own, (rows, whole), (rows, whole))


def filled(
    mesh: Mesh, x: Array, weight: Array, label: Array | None
) -> tuple[Array, Array, Array | None]:
    """x, weight and label padded with copies of row 0 at weight 0, to equal numbers per device."""
    missing = -x.shape[0] % mesh.size
    if missing == 0:
        return x, weight, label
    x = jnp.concatenate([x, jnp.broadcast_to(x[:1], (missing, *x.shape[1:]))])
    weight = jnp.pad(weight, (0, missing))
    return x, weight, label if label is None else jnp.pad(label, (0, missing), constant_values=-1)


def replicate(mesh: Mesh | None, tree: T) -> T:
    """The tree on every device of the mesh, for the host to read; unchanged without a mesh."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))
