"""`Stream`: a model and its rows, surveyed, with the sizes of their blocks."""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import numpy as np

from jaxem.batch.grid import Grid
from jaxem.batch.planning import Plan, memory
from jaxem.batch.problem import Problem, Resources, plan_of
from jaxem.core.model_protocol import Compute, Model
from jaxem.core.types import DType
from jaxem.data.blocks import NO_ROWS, RowBlocks, padded
from jaxem.data.data import Data
from jaxem.data.scaling import Scaling
from jaxem.engine.finish import in_standard_units
from jaxem.engine.loop import compute_for
from jaxem.engine.steps import Control
from jaxem.stream.survey import Survey, scaling_of

#: Bytes of a block of rows: enough that reading and dispatching it take less time than its E-step.
BLOCK_BYTES = {"cpu": 1 << 22, "gpu": 1 << 27, "tpu": 1 << 27}

#: Share of the memory limit that a block of rows may take. Some six are in memory at once: read,
#: padded and on the device, of this step and the next.
SHARE = 1 / 16


@dataclass(frozen=True)
class Stream:
    """A model and its rows, surveyed."""

    model: Model  # in the units of the rows
    rows: RowBlocks
    found: Survey
    scaling: Scaling  # f[d]
    control: Control
    compute: Compute
    plan: Plan
    block: int  # rows of a block

    def grid(self, dtype: DType | None = None) -> Grid:
        """The model in standard units, without rows."""
        dtype = self.found.dtype if dtype is None else dtype
        inner = in_standard_units(self.model, self.scaling, dtype)
        scaling = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), self.scaling)
        return Grid(inner, NO_ROWS, None, scaling, shared=True, compute=self.compute)

    def blocks(self, dtype: DType) -> Iterator[Data]:
        """The blocks of a pass, of one length. ValueError where the rows are not those of the first
        pass."""
        found, n = self.found, 0
        for data in self.rows.blocks(self.block):
            n += len(data.x)
            yield padded(data, self.block, dtype)
        if n != found.n or self.rows.mark() != found.mark:
            raise ValueError(
                f"{self.rows.name}: gave {n} rows in this pass and {found.n} in the first, or was "
                "written to since. Every iteration of EM reads the same rows again: leave files as "
                "they are, and give a function that makes a new iterator at every call."
            )


def pose(
    model: Model, rows: RowBlocks, found: Survey, control: Control, lanes: int, given: Resources
) -> Stream:
    """The problem of `lanes` fits of rows that were surveyed. ValueError where one row is too much
    for the memory limit."""
    platform, dtype, unit = given.placement.platform, np.dtype(found.dtype), found.unit
    limit = memory(platform) if given.memory_limit is None else given.memory_limit
    row_bytes = int(np.prod(unit)) * dtype.itemsize
    wish = min(BLOCK_BYTES.get(platform, BLOCK_BYTES["gpu"]), int(limit * SHARE)) // row_bytes
    block = max(1, min(found.n, wish))
    x: np.ndarray = np.broadcast_to(np.zeros((), dtype), (block, *unit))
    example = Data(x, np.broadcast_to(np.ones((), dtype), (block,)))
    scaling = scaling_of(model, found)
    compute = compute_for(model, example, lanes, given.asked, platform)
    problem = Problem(model, [], example, scaling, np.zeros(1, int), shared=True)
    plan = plan_of(problem, model, compute, lanes, Resources(limit // 2, given.placement))
    return Stream(model, rows, found, scaling, control, compute, plan, block)
