"""What does the fused kernel cost on a GPU, as far as that can be read without one?

The kernel is lowered for CUDA at n = 50,000, K = 8, 64 restarts on shared data, float32, full
covariance, d = 2 to 12, and float64 at d = 2 and 4; nothing is run. Per responsibility: operations
in the loop as JAX hands them to Triton, and bytes that the kernel moves, beside the 16 that XLA's
path moves at least (logits written and read, responsibilities written and read). With the `triton`
package (`pip install triton`), its compiler adds registers, spills, shared memory and instructions
of the loop for sm_90; the last give a limit, every scheduler of an H200 issuing one a cycle. It is
a limit, no time: a kernel that waits for a barrier or for its operands stays below it.

Last answer: 21, 45, 120, 189 and 245 instructions a responsibility at d = 2, 4, 8, 10 and 12 (of
which 11, 30, 90, 133 and 183 multiply and add), nothing spilled, 1.6 to 7 bytes moved: at most
1490, 695, 258, 164 and 126 G responsibilities per second, of which 0.6 to 0.7 are reached (`bench
fused`). XLA's own Triton contracts no a·b + c, this one does: only what the kernel names is sure to
be one instruction in both. Triton 3.9, jax 0.10.2, November 2026.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from bench.harness.gpu_code import Kernel, compiled, kernels
from bench.harness.rows import Verdict, row
from jaxem.core.precision import precision_of
from jaxem.kernels import fused_moments, padded_rows
from jaxem.kernels.fused.tiling import Tile, plan

ARCHITECTURE = 90

#: Threads' instructions an H200 issues in a second: SMs × schedulers × threads × cycles.
ISSUED = 132 * 4 * 32 * 1.83e9

#: Bytes a second that an H200 copies, as measured elsewhere; not on this machine.
COPIED = 4.3e12

#: Bytes of a float32 responsibility by XLA's path, with one kernel for the whole softmax.
BLOCKED_BYTES = 16

#: Goals of the fused kernel in G responsibilities/s by d, float32.
GOALS = {2: 500, 4: 500, 8: 250}

DIMENSIONS = ((2, "float32"), (4, "float32"), (8, "float32"), (10, "float32"), (12, "float32"))
DIMENSIONS += ((2, "float64"), (4, "float64"))


def run(quick: bool) -> list[dict[str, Any]]:
    """A row for every number of features."""
    sizes = DIMENSIONS[:1] if quick else DIMENSIONS
    n, k, lanes = (500, 3, 8) if quick else (50_000, 8, 64)
    return [_row(n, d, k, lanes, dtype) for d, dtype in sizes]


def a_gpu() -> AbstractContextManager:
    """Where programs are traced and lowered for a GPU that is not there: JAX 0.11 asks which."""
    if not hasattr(jax.sharding, "AbstractDevice"):
        return nullcontext()
    device = jax.sharding.AbstractDevice("NVIDIA H200", num_cores=None, platform="gpu")
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=device)
    return jax.sharding.use_abstract_mesh(mesh)


def lowered_kernel(n: int, d: int, k: int, lanes: int, dtype: str) -> tuple[Kernel, Tile]:
    """The kernel of so many lanes on n shared rows, lowered for CUDA, and its tile."""
    pairs = jaxem.Gaussian("full").products(d)
    tile = plan(k, len(pairs), lanes, dtype)
    if tile is None:
        raise ValueError(f"no room on chip for {k} components at d = {d} in {dtype}.")
    shapes = (lanes, k, len(pairs)), (d, padded_rows(n)), (padded_rows(n),), (lanes,)
    with precision_of(np.dtype(dtype)), a_gpu():
        arguments = [jax.ShapeDtypeStruct(shape, jnp.dtype(dtype)) for shape in shapes]
        lanes_share = jax.vmap(partial(fused_moments, pairs), in_axes=(0, None, None, 0))
        traced = jax.jit(lanes_share).trace(*arguments)
        (kernel,) = kernels(traced.lower(lowering_platforms=("cuda",)))
    return kernel, tile


def _row(n: int, d: int, k: int, lanes: int, dtype: str) -> dict[str, Any]:
    kernel, tile = lowered_kernel(n, d, k, lanes, dtype)
    per_turn = tile.lanes * k * tile.rows * tile.turns  # responsibilities
    code = compiled(kernel, ARCHITECTURE)
    out = row(f"d = {d}, {dtype}", (n, d, k, lanes), dtype=dtype, path=tile.path)
    out |= dict(warps=kernel.warps, lanes_of_program=tile.lanes, programs=kernel.programs)
    out["operations"] = {kind: count / per_turn for kind, count in kernel.counts.items()}
    out["fused_bytes"] = _moved(kernel, tile, n, d, k, lanes, np.dtype(dtype).itemsize)
    out["blocked_bytes"] = BLOCKED_BYTES * np.dtype(dtype).itemsize // 4
    out |= {name: code.get(name) for name in ("registers", "spilled_bytes", "shared_bytes")}
    out |= dict(trouble=code.get("trouble", ""), triton=code.get("triton"))
    loop = code.get("instructions", {})
    each = 32 * kernel.warps / per_turn
    out["instructions"] = {kind: count * each for kind, count in loop.items()} or None
    return out


def _moved(kernel: Kernel, tile: Tile, n, d, k, lanes, itemsize: int) -> float:
    """Bytes a responsibility that all programs read and write, none kept by a cache: rows and
    weights, coefficients, partial sums and the levels beside them."""
    columns = tile.lanes * (tile.components * tile.features + 1)
    chunks = kernel.programs // -(-lanes // tile.lanes)
    rows = padded_rows(n) // chunks * (d + 1)
    return kernel.programs * (rows + 2 * columns) * itemsize / (n * k * lanes)


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Limits in G responsibilities/s beside the goals of a kernel that would reach them."""
    out = []
    for dtype, size in dict.fromkeys((one["dtype"], one["blocked_bytes"]) for one in rows):
        what = f"{dtype}: limit of XLA's path by its bytes, G responsibilities/s"
        out.append(Verdict(what, COPIED / size / 1e9))
    for one in rows:
        what = f"{one['what']}: limit of the fused kernel by its instructions, G responsibilities/s"
        if one["instructions"] and one["dtype"] == "float32":
            limit = ISSUED / one["instructions"]["all"] / 1e9
            goal = GOALS.get(one["d"])
            out.append(Verdict(what, limit, ">=" if goal else "", goal))
    return out
