"""Sizes of the fused kernel: rows are cut into chunks, lanes into tiles.

Chunks follow from the number of rows alone and a lane never shares a sum, so that the sums of a
lane are taken in one order, whichever lanes run beside it. Only a call with fewer lanes than a tile
holds gets a narrower tile. The constants of the plain path are the quickest of those timed on an
H200
(`python -m bench devices`); those of the dot path come from reading registers and spills.
Compiled by Triton 3.9, the plain path issues 21, 45, 120, 189 and 245 instructions a responsibility
at d = 2, 4, 8, 10 and 12 (full covariance, float32) and spills nothing: at most 1490, 695, 258, 164
and 126 G responsibilities per second of an H200, of which 0.6 to 0.7 are reached.
"""

from typing import NamedTuple

import numpy as np

from jaxem.core.types import DType

#: Pairs of atoms, one pair per feature.
Pairs = tuple[tuple[int, int], ...]

#: Rows of a chunk, and chunks at most: each chunk of each tile writes one partial sum.
CHUNK_ROWS = 2048
MAX_CHUNKS = 128

#: Threads of a warp.
WARP = 32

#: The rows of a chunk are a multiple of this number.
ROWS = 64

#: The plain path is taken up to this number of features, in any precision: at d = 8 on an H200 it
#: made 153 G/s in float32, and three TF32 products on chip made 105.
PLAIN_FEATURES = 91

#: Plain path: sums that a thread can keep beside an equal number of coefficients in its 255
#: registers (120 of each spill).
THREAD_SUMS = 92

#: Plain path: blocks of rows in one turn of the loop, so that one computes while another waits.
TURNS = 2

#: Dot path: columns of a tile.
COLUMNS = 32

#: Dot path: sums that a warp can keep. With twice this number, the registers of the unrolled
#: products spill by kilobytes.
WARP_SUMS = 512

#: Dot path: warps of a program, at most.
DOT_WARPS = 16


class Tile(NamedTuple):
    """The tile of one program: `lanes` × `components` columns, `rows` rows at a time."""

    path: str  # "plain" or "dot"
    lanes: int
    components: int  # a power of two, which Triton requires of all sizes
    features: int  # of the family, padded on the dot path
    rows: int
    warps: int
    turns: int = 1  # blocks of rows in one turn of the loop


def power_of_two(value: int) -> int:
    """The smallest power of two that is at least `value`."""
    return 1 << max(0, value - 1).bit_length()


def row_layout(n: int) -> tuple[int, int]:
    """(chunks, rows of each) for n rows. The layout of chunks × rows of each is the same."""
    chunks = min(MAX_CHUNKS, -(-n // CHUNK_ROWS))
    return chunks, -(-n // (chunks * ROWS)) * ROWS


def padded_rows(n: int) -> int:
    """Rows after padding: `as_one_block` of this length reaches the kernel without a copy."""
    chunks, length = row_layout(n)
    return chunks * length


def plan(k: int, p: int, lanes: int, dtype: DType) -> Tile | None:
    """The tile for `lanes` fits of k components with p features that share their rows; None where
    one fit is too large for the chip."""
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
