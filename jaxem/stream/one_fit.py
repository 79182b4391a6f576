"""`em` of rows that are read in blocks: one fit from given parameters, every iteration one pass."""

import jax

from jaxem.batch.problem import Resources
from jaxem.core.model_protocol import Model
from jaxem.core.precision import precision_of
from jaxem.core.settings import Settings
from jaxem.core.trees import replace
from jaxem.core.types import Params
from jaxem.data.blocks import RowBlocks
from jaxem.engine.steps import Control
from jaxem.results.fit import Fit
from jaxem.stream.loop import advance, begin, conclude
from jaxem.stream.problem import pose
from jaxem.stream.survey import LEAST_SAMPLE, survey


def em_in_blocks(
    model: Model, params: Params, rows: RowBlocks, control: Control, asked: Settings
) -> Fit:
    """The fit that `jaxem.em` makes of the same rows in memory, to rounding. Once the first pass is
    over, Ctrl-C returns it as it stands, RUNNING."""
    # A sample gives the standard units, to which results are indifferent: any key will do.
    found = survey(model, rows, jax.random.key(0), lambda d, row_bytes: LEAST_SAMPLE)
    with precision_of(found.dtype):
        stream = pose(model, rows, found, control, 1, Resources(asked=asked))
        passes = begin(stream, jax.tree.map(lambda leaf: leaf[None], params))
        advance(stream, passes, lambda _: None)
        if not passes.numbers:
            raise KeyboardInterrupt
        fits = conclude(stream, passes)
    return jax.tree.map(lambda leaf: leaf[0], replace(fits, follows=None, parent=None)).of(
        model, control.soft
    )
