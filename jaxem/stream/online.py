"""`online_em`: one pass of online EM over blocks of rows."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxem.core.model_protocol import Model
from jaxem.core.precision import precision_of
from jaxem.core.types import Params
from jaxem.data.blocks import Piece, RowBlocks, from_callable, padded
from jaxem.data.row_files import is_rows, open_rows
from jaxem.engine.online import EXPONENT, OnlineState, check_exponent, online_start, online_step
from jaxem.stream.survey import check


def online_em(
    model: Model,
    params: Params,
    blocks: Iterable[Any] | RowBlocks,
    *,
    rows: int = 4096,
    exponent: float = EXPONENT,
) -> OnlineState:
    """One pass of online EM (Cappé and Moulines 2009) over rows that need not fit into memory.

    The result is an `OnlineState`: its `params` are a start for `em` and `fit`, and `online_step`
    goes on with it. On the host; `online_step` is the step for your own loop.

    - `blocks`: an iterable of blocks f[m, d] or `Data`, read once; an array; or rows of
      `jaxem.open_rows`. Blocks are joined and cut.
    - `rows`: rows of a step. A block should hold some rows of each component.
    - `exponent`: as in `online_step`.

    Raises ValueError, naming block and row, for rows that the model cannot be fitted to.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> start = model.init(jax.random.key(0), x)
    >>> state = jaxem.online_em(model, start, (x[i : i + 34] for i in range(0, 272, 34)), rows=34)
    >>> jaxem.em(model, state.params, x)
    Fit(CONVERGED after ... iterations, log-likelihood -1130.26)
    """
    check_exponent(exponent)
    source: Any = blocks
    if not (is_rows(blocks) or hasattr(blocks, "shape")):
        source = from_callable(partial(iter, source), "blocks")
    state, size = None, None
    for block in _checked(model, open_rows(source)).blocks(rows):
        dtype = np.dtype(np.float64 if block.x.dtype == np.float64 else np.float32)
        size = size or len(block.x)
        with precision_of(dtype):
            data = jax.device_put(padded(block, size, dtype))
            if state is None:
                state = online_start(model, params, data)
            else:
                state = online_step(model, state, data, exponent=exponent)
    if state is None:
        raise ValueError("blocks: no rows.")
    return state


def _checked(model: Model, source: RowBlocks) -> RowBlocks:
    """The rows, each piece checked when it is read."""

    def read(rows: int) -> Iterator[Piece]:
        for piece in source.read(rows):
            check(model, piece)
            yield piece

    return RowBlocks(source.name, read)
