"""The programs of a call, compiled side by side before the first of them runs.

XLA compiles without Python's lock, and tracing needs it. The shapes of all programs follow from the
first one's results. So each program is compiled in a thread of its own while the next is traced.
The call of a program then waits for its thread, because JAX compiles a program once.
"""

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np

from jaxem.batch import packing
from jaxem.batch.lanes import Until, advance, conclude, draw_starts
from jaxem.batch.state import Batch
from jaxem.batch.threads import with_settings
from jaxem.core.compiled import BEGUN
from jaxem.core.types import PyTree
from jaxem.engine.steps import Run


def compile_ahead(batch: Batch, arguments: Callable[[np.ndarray], tuple]) -> None:
    """Begin to compile the programs that draw starts, run and conclude the lanes of a batch.
    `arguments(lanes)` are those with which `draw_starts` will be called. Does nothing where this
    has been done, and where several devices or processes have a share."""
    placement, plan = batch.placement, batch.plan
    if placement.mesh is not None or placement.several:
        return
    first = arguments(np.zeros(plan.bucket, int))
    tiles = packing.tiles_of(batch.groups, np.arange(len(batch.groups)), plan.tile)
    width, size = tiles.shape[1], packing.first_size(plan, len(tiles), tiles.shape[1])
    known = _shapes((first, size, width, plan.bucket, plan.stride))
    if known in BEGUN:
        return
    BEGUN.add(known)
    drawn = draw_starts.trace(*first, mesh=None)
    until = Until(1, 0, plan.stride, packing.least_live(plan, width))
    runs = _of_length(drawn.out_info, size * width)
    groups = np.repeat(batch.groups[:1], size)
    pool = ThreadPoolExecutor(3)
    # The longest first.
    stepping = advance.trace(batch.grid, groups, batch.control, until, runs, None).lower()
    pool.submit(with_settings(stepping.compile))
    pool.submit(with_settings(drawn.lower().compile))
    pool.submit(with_settings(_concluding(batch, drawn.out_info).lower().compile))
    pool.shutdown(wait=False)  # whoever calls a program waits for it, and sees why it failed


def _concluding(batch: Batch, run: Run) -> jax.stages.Traced:
    groups = np.repeat(batch.groups[:1], batch.plan.bucket)
    how = dict(control=batch.control, dtype=batch.reported, mesh=None)
    return conclude.trace(batch.grid, groups, run, **how)


def _of_length(run: Run, lanes: int) -> Run:
    """The shapes of a run of so many lanes."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((lanes, *leaf.shape[1:]), leaf.dtype), run
    )


def _shapes(tree: PyTree) -> Hashable:
    """The structure of a tree, and shapes and types of its leaves."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, *((np.shape(leaf), getattr(leaf, "dtype", type(leaf))) for leaf in leaves)
