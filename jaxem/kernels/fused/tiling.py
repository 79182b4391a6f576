"""How the fused kernel cuts its work: rows into chunks, lanes into tiles. Plain arithmetic.

Chunks follow from the number of rows alone and a lane never shares a sum, so that its sums are
taken in one order whatever runs beside it; only a call with fewer lanes than a tile holds gets a
narrower tile. The constants of the plain path are the quickest of those timed on an H200
(`python -m bench devices`); those of the dot path come from reading registers and spills.
Compiled by Triton 3.9, the plain path issues 21, 45, 120, 189 and 245 instructions a responsibility
at d = 2, 4, 8, 10 and 12 (full covariance, float32) and spills nothing: at most 1490, 695, 258, 164
and 126 G responsibilities per second of an H200, of which 0.6 to 0.7 are reached.
"""

from typing import Any, NamedTuple

import numpy as np

#: Rows of a chunk, and chunks at most: each chunk of each tile writes one partial sum.
CHUNK_ROWS = 2048
MAX_CHUNKS = 128

#: Threads of a warp.
WARP = 32

#: Chunks are whole multiples of so many rows.
ROWS = 64

#: Plain path. Features up to which it is written out, in whatever precision: on an H200, float32
#: made 153 G/s so at d = 8, three TF32 products on chip 105; sums a thread can keep, for as many
#: coefficients stand beside them in its 255 registers (120 of each spill); and blocks of rows in
#: one turn of the loop, whose instructions fill one another's waits.
PLAIN_FEATURES = 91
THREAD_SUMS = 92
TURNS = 2

#: Dot path. Columns of a tile; sums a warp can keep (twice as many, and the registers of the
#: unrolled products spill by kilobytes); and warps at most.
COLUMNS = 32
WARP_SUMS = 512
DOT_WARPS = 16


class Tile(NamedTuple):
    """What one program owns: `lanes` × `components` columns, `rows` rows at a time."""

    path: str  # "plain" or "dot"
    lanes: int
    components: int  # a power of two, as the hardware language wants all sizes
    features: int  # those of the family, padded on the dot path
    rows: int
    warps: int
    turns: int = 1  # blocks of rows in one turn of the loop


def power_of_two(value: int) -> int:
    """The smallest power of two that is at least `value`."""
    return 1 << max(0, value - 1).bit_length()


def row_layout(n: int) -> tuple[int, int]:
    """(chunks, rows of each) for n rows; the layout of their product is the same again."""
    chunks = min(MAX_CHUNKS, -(-n // CHUNK_ROWS))
    return chunks, -(-n // (chunks * ROWS)) * ROWS


def padded_rows(n: int) -> int:
    """Rows after padding: `as_one_block` of this length reaches the kernel without a copy."""
    chunks, length = row_layout(n)
    return chunks * length


def plan(k: int, p: int, lanes: int, dtype: Any) -> Tile | None:
    """The tile for `lanes` fits of k components with p features that share their rows; None where
    not even one fits on chip."""
    words = np.dtype(dtype).itemsize // 4
    plain = _plain(k, p, lanes, words) if p <= PLAIN_FEATURES else None
    return plain or _dot(k, p, lanes, words)


def _plain(k: int, p: int, lanes: int, words: int) -> Tile | None:
    columns = power_of_two(k)
    threads = power_of_two(-(-columns * p * words // THREAD_SUMS))
    if threads > min(WARP, columns):
        return None
    together = 1
    while together < lanes and 2 * together * columns * p * words <= THREAD_SUMS:
        together *= 2
    return Tile("plain", together, columns, p, WARP // threads, 1, TURNS)


def _dot(k: int, p: int, lanes: int, words: int) -> Tile | None:
    # The matrix unit takes no operand with a side below 16.
    columns, features = power_of_two(k), max(16, power_of_two(p))
    together = min(power_of_two(lanes), max(1, COLUMNS // columns))
    columns = max(columns, 16 // together)
    warps = max(4, together * columns * features * words // WARP_SUMS)
    if warps > DOT_WARPS:
        return None
    return Tile("dot", together, columns, features, WARP, warps)
