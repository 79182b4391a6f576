"""How fast is the step's kernel on a GPU, fused beside blocked, size by size?

One call of each kernel on n = 50,000 shared rows and 8192 columns (lanes × components), full
covariance, float32: the fused kernel's tile as planned, the blocked kernel in one block, and where
products decide (d = 16, 32) its fast precision. Largest difference of the moments from those of
the blocked kernel, as a share of the largest moment. Without a GPU there is nothing to time.

Last answer: 1040, 490, 153, 100 and 82 G responsibilities per second fused at d = 2, 4, 8, 10 and
12, K = 8; 138, 132, 100, 79 and 74 blocked; 51 and 19 blocked at d = 16 and 32, with three TF32
products 71 and 32. One H200, jax 0.11.2, November 2026.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from bench.harness.rows import Verdict, row
from bench.harness.timing import clocked, interleaved
from jaxem.kernels import as_one_block, blocked_moments, fused_moments, padded_rows
from jaxem.kernels.fused.launch import features_of

ROWS, COLUMNS = 50_000, 8192

#: (d, K) of the fused kernel and of the blocked one beside it; d of the blocked one alone.
SIZES = ((2, 8), (4, 8), (6, 8), (8, 8), (9, 8), (10, 8), (12, 8), (13, 8), (2, 3), (4, 3), (8, 3))
SIZES += ((4, 32), (8, 16))
WIDE = (16, 32)

#: G responsibilities/s of an H200 (DESIGN's goals), by kernel and d.
GOALS = {("fused", 2): 500, ("fused", 4): 500, ("fused", 8): 250, ("tf32x3", 32): 50}
GOALS |= {("blocked", 2): 150, ("blocked", 4): 150, ("blocked", 8): 150, ("blocked", 32): 20}

#: Calls in flight of one timing, and compilers at once.
CALLS, COMPILERS = 8, 8


def run(quick: bool) -> Iterator[dict[str, Any]]:
    """A row for every size and kernel, as they are measured."""
    if not quick and jax.default_backend() != "gpu":
        print("No GPU here: there is nothing to time.")
        return
    n, columns = (200, 12) if quick else (ROWS, COLUMNS)
    sizes, wide = (SIZES[8:9], ()) if quick else (SIZES, WIDE)
    cases = [(d, k, kernel) for d, k in sizes for kernel in ("blocked", "fused")]
    cases += [(d, 8, kernel) for d in wide for kernel in ("blocked", "tf32x3")]
    with ThreadPoolExecutor(COMPILERS) as pool:
        ready = pool.map(lambda case: _compiled(n, columns, *case), cases)
    exact: dict[tuple[int, int], np.ndarray] = {}
    for (d, k, kernel), call in zip(cases, ready, strict=True):
        moments = np.asarray(call()[0], float)
        want = exact.setdefault((d, k), moments)
        work = clocked(lambda call=call: [call() for _ in range(CALLS)])
        timing = interleaved({kernel: work}, 1.0, least=5, most=9)[kernel]
        known: dict[str, Any] = dict(kernel=kernel, dtype="float32", device=_device())
        known["difference"] = float(np.abs(moments - want).max() / np.abs(want).max())
        size = n, d, k, columns // k
        yield row(f"d = {d}, K = {k}, {kernel}", size, timing, iterations=CALLS, **known)


def _device() -> str:
    return jax.local_devices()[0].device_kind


def _compiled(n: int, columns: int, d: int, k: int, kernel: str) -> Callable[[], Any]:
    """A call of the kernel on data of its own, compiled."""
    pairs, lanes = jaxem.Gaussian("full").products(d), columns // k
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(n, d)), jnp.float32)
    beta = jnp.asarray(0.3 * rng.normal(size=(lanes, k, len(pairs))), jnp.float32)
    reference = jnp.zeros(lanes, jnp.float32)
    blocks = as_one_block(x, jnp.ones(n, jnp.float32), padded_rows(n) if kernel == "fused" else n)

    def one(beta, reference, blocks):
        if kernel == "fused":
            atoms, weight = blocks.columns[0], blocks.weight[0]
            return fused_moments(pairs, beta, atoms, weight, reference)
        features, precision = (
            partial(features_of, pairs),
            "float32" if kernel == "blocked" else kernel,
        )
        return blocked_moments(features, beta, blocks, reference, precision=precision)

    arguments = beta, reference, blocks
    program = jax.jit(jax.vmap(one, in_axes=(0, 0, None))).lower(*arguments).compile()
    return partial(program, *arguments)


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """G responsibilities/s by size and kernel."""
    out = []
    for one in rows:
        goal = GOALS.get((one["kernel"], one["d"])) if one["k"] == 8 else None
        what = f"{one['what']}: G responsibilities/s"
        rate = 1 / one["ns_per_responsibility"]
        out.append(Verdict(what, rate, ">=" if goal else "", goal))
    return out
