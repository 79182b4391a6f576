"""Prepared data of a mixture's E-step, made once per fit: blocks of rows, and sums over them."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxem.core.model_protocol import BLOCK_ROWS, DEFAULT_COMPUTE, Compute
from jaxem.core.trees import replace
from jaxem.core.types import Rows
from jaxem.data.data import Data, as_data, check_rows
from jaxem.devices.collectives import each_device, filled
from jaxem.kernels import Blocks, as_blocks, as_one_block, padded_rows, weighted_moments, with_known
from jaxem.models.params import Prepared

if TYPE_CHECKING:
    from jaxem.models.mixture import Mixture


def prepare(
    model: "Mixture", data: Rows, rows: int = BLOCK_ROWS, compute: Compute = DEFAULT_COMPUTE
) -> Prepared:
    """Blocks of at most `rows` rows, and the sums that do not change between iterations."""
    data = as_data(data)
    check_rows(data.x.shape)
    if data.mesh is not None:
        mesh, data = data.mesh, Data(*filled(data.mesh, data.x, data.weight, data.label))
        own = each_device(mesh, lambda data, model: _blocks_and_sums(model, data, rows, compute))
        blocks, sums = own(data, model)
        return replace(sums, blocks=blocks, mesh=mesh)
    x, weight = jnp.asarray(data.x), jnp.asarray(data.weight)
    total, count = jnp.sum(weight), jnp.sum((weight > 0).astype(x.dtype))
    blocks = as_blocks(x, weight, rows)
    base = jnp.sum(weighted_moments(lambda x: model.family.log_base(x)[None], blocks))
    common = weighted_moments(model.common_features, blocks)[0]
    width = jax.eval_shape(model.family.features, x).shape[0]
    known = jnp.zeros((model.n_components, width), x.dtype)
    if data.label is not None:
        member = jax.nn.one_hot(data.label, model.n_components, dtype=x.dtype, axis=0)
        known = weighted_moments(model.family.features, blocks, member)
        weight = jnp.where(data.label >= 0, 0, weight)
        blocks = as_blocks(x, weight, rows)
    if compute.kernel == "fused":
        blocks = as_one_block(x, weight, padded_rows(x.shape[0]))
    if data.label is not None:
        labelled = jnp.where(data.label >= 0, data.weight, 0)
        blocks = with_known(blocks, labelled, jnp.asarray(data.label))
    return Prepared(blocks, base, known, common, total, count, compute=compute)


def _blocks_and_sums(
    model: "Mixture", data: Data, rows: int, compute: Compute
) -> tuple[Blocks, Prepared]:
    """The blocks, and the rest of `Prepared`, all of whose leaves are sums over rows."""
    prepared = prepare(model, data, rows, compute)
    return prepared.blocks, replace(prepared, blocks=None)
