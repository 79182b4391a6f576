"""Sums over rows that lie on several devices: each device sums its own, and the sums are added."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxem.core.compiled import on_each

#: The axis of rows in meshes.
ROWS = "rows"


def summed(mesh: Mesh | None, function: Callable) -> Callable:
    """`function(rows, rest)`, whose results are sums over the leading axes of the leaves of `rows`,
    with these axes spread over the mesh; as it is without a mesh."""
    if mesh is None:
        return function
    rows, whole = PartitionSpec(ROWS), PartitionSpec()

    def own(part, rest):
        return jax.lax.psum(function(part, rest), ROWS)

    return on_each(mesh, own, (rows, whole), whole)


def each_device(mesh: Mesh, function: Callable) -> Callable:
    """`function(rows, rest)` -> (a tree that leads with rows, sums over them), on every device for
    its own rows; the sums are added."""
    rows, whole = PartitionSpec(ROWS), PartitionSpec()

    def own(part, rest):
        kept, sums = function(part, rest)
        return kept, jax.lax.psum(sums, ROWS)

    return on_each(mesh, own, (rows, whole), (rows, whole))


def filled(mesh: Mesh, x: Any, weight: Any, label: Any) -> tuple:
    """x, weight and label with copies of row 0 at weight 0, until the devices have as many each."""
    missing = -x.shape[0] % mesh.size
    if missing == 0:
        return x, weight, label
    x = jnp.concatenate([x, jnp.broadcast_to(x[:1], (missing, x.shape[1]))])
    weight = jnp.pad(weight, (0, missing))
    return x, weight, label if label is None else jnp.pad(label, (0, missing), constant_values=-1)


def whole(mesh: Mesh | None, tree: Any) -> Any:
    """The tree on every device of the mesh, for the host to read; as it is without a mesh."""
    if mesh is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))
