"""One pass over rows that are read in blocks: sums over blocks, added up in float64 on the host.

The next block is read by another thread while the device computes the last one.
"""

from collections import deque
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch.grid import Grid, with_scaling
from jaxem.core.capabilities import offered, provides
from jaxem.core.compiled import program
from jaxem.core.model_protocol import Exact, Model, Rescalable
from jaxem.core.precision import precision_of
from jaxem.core.trees import replace
from jaxem.core.types import DType, PreparedData, PyTree
from jaxem.data.blocks import ahead
from jaxem.data.data import Data
from jaxem.engine import steps
from jaxem.engine.finish import to_scaled
from jaxem.engine.steps import Control
from jaxem.stream.problem import Stream


def one_pass(
    stream: Stream, run: Callable[[Grid, PyTree], PyTree], lanes: PyTree, dtype: DType | None = None
) -> PyTree:
    """The sums f64[lanes, ...] over all blocks of `run(grid of the block, lanes)`."""
    dtype = stream.found.dtype if dtype is None else dtype
    width, total = jax.tree.leaves(lanes)[0].shape[0], None
    waiting: deque[list[PyTree]] = deque()
    parts = [slice(i, i + stream.plan.bucket) for i in range(0, width, stream.plan.bucket)]
    chunks = [jax.tree.map(lambda leaf, own=own: leaf[own], lanes) for own in parts]
    grid = stream.grid(dtype)
    for block in ahead(stream.blocks(dtype)):
        at = replace(grid, data=jax.device_put(block))
        waiting.append([run(at, chunk) for chunk in chunks])
        if len(waiting) > 1:  # the device computes a block while the one before is added
            total = _added(total, waiting.popleft())
    return _added(total, waiting.popleft())


def _added(total: PyTree | None, chunks: list[PyTree]) -> PyTree:
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *jax.device_get(chunks))
    wide = jax.tree.map(lambda leaf: leaf.astype(float), whole)
    return wide if total is None else jax.tree.map(np.add, total, wide)


def expected(
    stream: Stream, params: PyTree, reference: np.ndarray, first: bool = False
) -> tuple[PyTree, list[np.ndarray]]:
    """What `engine.steps.expect` finds for parameters f[lanes, ...] in standard units, summed over
    all rows; and, in the `first` pass, the numbers of the prepared data f[lanes], for `whole`."""

    def run(grid: Grid, lanes: PyTree) -> PyTree:
        return _expected(grid, lanes, stream.control, rows=stream.plan.rows, first=first)

    return one_pass(stream, run, (params, reference))


def whole(stream: Stream, numbers: list[np.ndarray], dtype: DType | None = None) -> Grid:
    """The grid of all rows without the rows, in `dtype` (None: that of the rows). Of its prepared
    data only the numbers f[] are there, which are sums over units; everything else is zero, and so
    are they before the first pass (`numbers` empty)."""
    dtype = stream.found.dtype if dtype is None else dtype
    grid = stream.grid(dtype)
    rows: PyTree = jax.ShapeDtypeStruct((1, *stream.found.unit), dtype)
    weight: PyTree = jax.ShapeDtypeStruct((1,), dtype)
    label: PyTree = jax.ShapeDtypeStruct((1,), np.int32) if stream.found.labelled else None
    example = Data(rows, weight, label)
    shapes = jax.eval_shape(lambda data: grid.model.prepare(data, 1, grid.compute), example)
    known = iter(numbers)

    def filled(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        number = next(known)[0] if numbers and leaf.shape == () else 0
        return np.full(leaf.shape, number, leaf.dtype)

    prepared = with_scaling(grid.model, jax.tree.map(filled, shapes), grid.scaling)
    return replace(grid, prepared=prepared, brief=True)  # its programs read no rows


def likelihoods(stream: Stream, params: PyTree) -> np.ndarray:
    """Σ w log p(row) f64[lanes] in standard units, computed in float64, of parameters f[lanes, ...]
    in the units of the rows."""
    wide = np.dtype(np.float64)
    with precision_of(wide):

        def run(grid: Grid, lanes: PyTree) -> PyTree:
            return _likelihoods(grid, stream.model, lanes, rows=stream.plan.rows)

        given = jax.tree.map(lambda leaf: np.asarray(leaf, wide), params)
        return one_pass(stream, run, given, wide)


def _prepared(grid: Grid, rows: int) -> PreparedData:
    data, scaling = grid.data, grid.scaling
    if provides(type(grid.model), Rescalable):
        lead = (None,) * (data.x.ndim - 1)
        data = replace(data, x=(data.x - scaling.shift[lead]) / scaling.scale[lead])
    return with_scaling(grid.model, grid.model.prepare(data, rows, grid.compute), scaling)


@program(static_argnames=("rows", "first"))
def _expected(grid: Grid, lanes, control: Control, rows: int, first: bool):
    prepared = _prepared(grid, rows)

    def of_lane(params, reference):
        return steps.expect(grid.model, control, params, prepared, reference)

    numbers = [leaf for leaf in jax.tree.leaves(prepared) if first and leaf.shape == ()]
    width = jax.tree.leaves(lanes)[0].shape[:1]
    found = jax.vmap(of_lane)(*lanes)
    return found, [jnp.broadcast_to(number, width) for number in numbers]


@program(static_argnames="rows")
def _likelihoods(grid: Grid, model: Model, params, rows: int):
    prepared, exact = _prepared(grid, rows), offered(grid.model, Exact)

    def of_lane(params):
        inside = to_scaled(model, params, grid.scaling)
        if exact is not None:
            return exact.log_likelihood(inside, prepared)
        zero = jnp.zeros((), prepared.base.dtype)
        return grid.model.expect(inside, prepared, zero)[1] + prepared.base

    return jax.vmap(of_lane)(params)
