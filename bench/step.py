"""What does one EM iteration cost beside the matrix products it is made of, and beside peers?

64 restarts on shared data, full covariance, n = 8000, K = 8, float32, d = 2 to 64; nanoseconds per
responsibility (one row × component × restart × iteration). Beside jaxem's engine: 4P flop per
responsibility at the machine's best float32 matrix rate; its two bare matrix products; scikit-learn
on all cores; gmmx alone and under `vmap`; the obvious JAX step under `vmap`; pomegranate, torchgmm
and tgmm where they are installed, one restart at a time.

Last answer: 0.65, 0.80, 1.7, 4.7, 15 and 52 ns at d = 2, 4, 8, 16, 32 and 64; 1.53, 1.31 and 1.24
times the 4P floor at d = 16, 32 and 64, where the products alone are 1.20, 1.15 and 1.05; 2.4, 1.7
and 1.4 times its own products at d = 2, 4 and 8; 58, 40, 21, 10.5, 6.8 and 4.1 times faster than
scikit-learn at its best. Two cores of an AMD EPYC with AVX-512, jax 0.10.2, November 2026.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.harness import peers, products
from bench.harness.isolated import ONE_BLAS_THREAD, Isolated
from bench.harness.machine import cores
from bench.harness.own import own_step
from bench.harness.problems import overlapping
from bench.harness.rows import Verdict, row
from bench.harness.timing import Timing, clocked, interleaved, paired_ratio
from bench.harness.torch_peers import torch_peers

OWN, PRODUCTS, FLOOR = "jaxem", "two bare products", "4P flop at the best rate"
SKLEARN, GMMX, GMMX_ALONE, OBVIOUS = "scikit-learn", "gmmx, vmap", "gmmx, alone", "obvious, vmap"
#: jaxem once more, timed in turn with the peers.
AGAIN = "jaxem, beside peers"
ALONE = (GMMX_ALONE, "pomegranate", "torchgmm", "tgmm")

#: Goals by d: at most so many times the floor or the bare products, at least so many times faster.
FLOOR_GOAL = {16: 1.3, 32: 1.3, 64: 1.3}
PRODUCTS_GOAL = {2: 2.0, 4: 2.0, 8: 2.0}
SKLEARN_GOAL = {4: 30.0, 16: 10.0, 32: 4.0, 64: 1.8}

#: Peers under `vmap` get as many restarts as fit in so many bytes.
PEER_BYTES = 1 << 28


def run(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by d and variant, as they are measured."""
    n, k, lanes = (500, 3, 8) if quick else (8000, 8, 64)
    for d in (2, 3) if quick else (2, 4, 8, 16, 32, 64):
        yield from _of_dimension(n, d, k, lanes, 0.5 if quick else 25.0)


def _of_dimension(n: int, d: int, k: int, lanes: int, seconds: float) -> list[dict[str, Any]]:
    """Short calls many times, for a machine whose speed changes by the second; then the peers,
    which take longer."""
    x = overlapping(n, d, k)
    own = own_step(x, k, lanes)
    guess = n * k * lanes * (1 + products.width_of(d) / 30) * 1e-9  # seconds of an iteration
    stride, few = max(2, min(50, round(0.15 / guess))), max(2, min(20, round(0.02 / guess)))
    bare = products.bare_products(n, d, own.columns, own.plan.rows, stride)
    buckets = len(own.buckets)
    floors = products.square_products((256,) if n < 1000 else products.ORDERS)
    floors |= {OWN: own.variant(stride)}
    floors |= {PRODUCTS: clocked(lambda: [bare() for _ in range(buckets)])}
    sizes = {OWN: (lanes, stride), PRODUCTS: (lanes, stride), AGAIN: (lanes, stride)}
    times = interleaved(floors, seconds)

    others = {AGAIN: floors[OWN]}
    for mode in peers.MODES if peers.installed("sklearn") else ():
        sizes[f"{SKLEARN}, {mode}"] = 1, 2 * few
        others[f"{SKLEARN}, {mode}"] = peers.sklearn_steps(x, k, 2 * few, mode, cores())
    isolated = _isolated(x, k, lanes, few)
    sizes |= {name: size for name, (size, _) in isolated.items()}
    others |= {name: variant for name, (_, variant) in isolated.items()}
    try:
        times |= interleaved(others, seconds / 2)
    finally:
        for _, variant in isolated.values():
            variant.__exit__()
    trouble = {name: v.trouble for name, (_, v) in isolated.items() if v.trouble}
    return _rows(times, trouble, sizes, (n, d, k), own, stride)


def _isolated(x: np.ndarray, k: int, lanes: int, few: int) -> dict[str, tuple]:
    """Peers whose compiled loops call LAPACK, and may stall: each in a process of its own, with
    the one BLAS thread that spares them the worst (see `bench.trap`)."""
    n, d = x.shape
    fit_in = max(1, min(lanes, PEER_BYTES // (16 * n * k * d)))
    how: dict[str, Any] = dict(limit=45.0, env=ONE_BLAS_THREAD)
    out = {OBVIOUS: ((fit_in, few), Isolated(peers.obvious_steps, x, k, fit_in, few, **how))}
    if peers.installed("gmmx"):
        out[GMMX] = (fit_in, few), Isolated(peers.gmmx_steps, x, k, fit_in, few, **how)
        out[GMMX_ALONE] = (1, 2 * few), Isolated(peers.gmmx_steps, x, k, 1, 2 * few, **how)
    for name, make in torch_peers().items():
        out[name] = (1, 20), Isolated(make, x, k, 20)
    return out


def _rows(times, trouble, sizes, shape, own, stride) -> list[dict[str, Any]]:
    n, d, k = shape
    rows, lanes = [], sizes[OWN][0]
    rate = products.best_rate(times)
    floor = products.step_flops(n, d, k, lanes) / rate
    known = {"dtype": "float32", "gflops": round(rate / 1e9, 1)}
    rows.append(row(FLOOR, (n, d, k, lanes), floor, iterations=1, **known))
    for name, (count, iterations) in sizes.items():
        if name in trouble:
            rows.append(row(name, (n, d, k, count), dtype="float32", trouble=trouble[name]))
            continue
        extra: dict[str, Any] = {"dtype": "float32", "threads": cores()}
        if name in (OWN, AGAIN):
            extra["compile_seconds"] = own.compile_seconds
            extra["statuses"] = own.statuses(stride)
        rows.append(row(name, (n, d, k, count), times[name], iterations=iterations, **extra))
    return rows


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """jaxem beside the floors and the peers, by d; pairs of one round are compared."""
    out = []
    for d in sorted({one["d"] for one in rows}):
        by_name = {one["what"]: one for one in rows if one["d"] == d and one["seconds"]}
        own = by_name[OWN]
        ratio = own["ns_per_responsibility"] / by_name[FLOOR]["ns_per_responsibility"]
        out.append(Verdict(f"d={d}: jaxem / {FLOOR}", ratio, "<=", FLOOR_GOAL.get(d)))
        ratio = _ratio(own, by_name[PRODUCTS])
        out.append(Verdict(f"d={d}: jaxem / {PRODUCTS}", ratio, "<=", PRODUCTS_GOAL.get(d)))
        own = by_name[AGAIN]
        best = min(_ratio(by_name[m], own) for m in by_name if m.startswith(SKLEARN))
        out.append(
            Verdict(f"d={d}: {SKLEARN} at its best / jaxem", best, ">=", SKLEARN_GOAL.get(d))
        )
        for name, goal in ((GMMX, 15.0), (OBVIOUS, 15.0), *((name, None) for name in ALONE)):
            if name in by_name:
                ratio = _ratio(by_name[name], own)
                out.append(Verdict(f"d={d}: {name} / jaxem", ratio, ">=", goal))
    return out


def _ratio(a: dict, b: dict) -> float:
    """Per responsibility, the pairs of each round compared."""
    scale = (a["lanes"] * a["iterations"]) / (b["lanes"] * b["iterations"])
    return paired_ratio(Timing(tuple(a["samples"])), Timing(tuple(b["samples"]))) / scale
