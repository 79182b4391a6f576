"""One call of each kernel of the step on a GPU, size by size."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxem
from bench.harness.rows import row
from bench.harness.timing import clocked, interleaved
from jaxem.kernels import as_one_block, blocked_moments, padded_rows
from jaxem.kernels.fused.launch import features_of, fused_moments

ROWS, COLUMNS = 50_000, 8192

#: (d, K) of the fused kernel and of the blocked one beside it; d of the blocked one alone.
SIZES = ((2, 8), (4, 8), (6, 8), (8, 8), (9, 8), (10, 8), (12, 8), (13, 8), (2, 3), (4, 3), (8, 3))
SIZES += ((4, 32), (8, 16))
WIDE = (16, 32)

#: Calls in flight of one timing, and compilers at once.
CALLS, COMPILERS = 8, 8


def kernel_rows(quick: bool) -> Iterator[dict[str, Any]]:
    """A row for every size and kernel, as they are measured; none without a GPU."""
    if not quick and jax.default_backend() != "gpu":
        print("No GPU here: its kernels cannot be timed.")
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
        known: dict[str, Any] = dict(kernel=kernel, dtype="float32")
        known["device"] = jax.local_devices()[0].device_kind
        known["difference"] = float(np.abs(moments - want).max() / np.abs(want).max())
        size = n, d, k, columns // k
        yield row(f"d = {d}, K = {k}, {kernel}", size, timing, iterations=CALLS, **known)


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
            return fused_moments(pairs, beta, blocks.columns[0], blocks.weight[0], reference)
        precision = "float32" if kernel == "blocked" else kernel
        return blocked_moments(
            partial(features_of, pairs), beta, blocks, reference, precision=precision
        )

    arguments = beta, reference, blocks
    program = jax.jit(jax.vmap(one, in_axes=(0, 0, None))).lower(*arguments).compile()
    return partial(program, *arguments)
