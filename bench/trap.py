"""What happens to small inverses inside a compiled loop on the CPU?

512 covariance matrices (64 lanes × 8 components) inverted ten times in one loop, d = 32 and 64,
float32: `jaxem.numerics.inverse_factor` against `jnp.linalg.cholesky` and `solve_triangular`, with
the threads that BLAS takes by default and with one. XLA calls LAPACK once a matrix, and its
threads stall one another; it may never return, so each runs in a process under a time limit.

Last answer: not to be seen on this machine: LAPACK takes 0.6 of the time of the plain operations at
d = 32 and 2.4 times as long at d = 64, with one BLAS thread hardly less. Two cores of an AMD EPYC
with AVX-512, jax 0.10.2, November 2026.
"""

from typing import Any

import numpy as np

from bench.harness.isolated import ONE_BLAS_THREAD, Isolated
from bench.harness.machine import cores
from bench.harness.rows import Verdict, row
from bench.harness.timing import clocked, interleaved

PLAIN, LAPACK = "plain operations", "LAPACK"
LOOPS = 10


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by d, method and threads."""
    batch, dims = (32, (4,)) if quick else (512, (32, 64))
    return [one for d in dims for one in _of_dimension(d, batch, 0.2 if quick else 10.0)]


def _of_dimension(d: int, batch: int, seconds: float) -> list[dict[str, Any]]:
    variants = {
        f"{method}, {label}": Isolated(inverses, method, d, batch, limit=60.0, env=env)
        for method in (PLAIN, LAPACK)
        for label, env in (("threads by default", {}), ("one BLAS thread", ONE_BLAS_THREAD))
    }
    try:
        times = interleaved(variants, seconds, most=9)
    finally:
        for variant in variants.values():
            variant.__exit__()
    size = (None, d, None, batch)
    return [
        row(
            name,
            size,
            times.get(name),
            iterations=LOOPS,
            dtype="float32",
            threads=1 if "one" in name else cores(),
            trouble=variant.trouble,
        )
        for name, variant in variants.items()
    ]


def inverses(method: str, d: int, batch: int):
    """The variant, made in the process that runs it."""
    import jax
    import jax.numpy as jnp

    from jaxem.numerics import inverse_factor

    a = np.random.default_rng(0).normal(size=(batch, d, 2 * d)).astype(np.float32)
    matrices = jnp.asarray(a @ a.swapaxes(1, 2) / d)
    identity = jnp.eye(d)

    def by_lapack(matrices):
        factor = jnp.linalg.cholesky(matrices)
        many = jnp.broadcast_to(identity, factor.shape)
        return jax.scipy.linalg.solve_triangular(factor, many, lower=True)

    invert = by_lapack if method == LAPACK else lambda matrices: inverse_factor(matrices)[0]

    @jax.jit
    def run(matrices):
        # A change too small to matter makes each turn wait for the last.
        turn = lambda _, m: m + 1e-12 * jnp.sum(invert(m), axis=(1, 2), keepdims=True)  # noqa: E731
        return jax.lax.fori_loop(0, LOOPS, turn, matrices)

    return clocked(lambda: run(matrices))


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """LAPACK's seconds over plain operations'; infinite where it never returned."""
    out = []
    for d in sorted({one["d"] for one in rows}):
        by_name = {one["what"]: one["seconds"] for one in rows if one["d"] == d}
        for label in ("threads by default", "one BLAS thread"):
            plain, lapack = by_name[f"{PLAIN}, {label}"], by_name[f"{LAPACK}, {label}"]
            ratio = (lapack or float("inf")) / plain
            out.append(Verdict(f"d={d}, {label}: {LAPACK} / {PLAIN}", ratio))
    return out
