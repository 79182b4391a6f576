"""How many responsibilities per second does each device of this machine compute?

n = 50,000, K = 8, 64 restarts on shared data, full covariance, float32, d = 2 to 32; every platform
that JAX finds, each in a process of its own.

Last answer: not measured yet.
"""

from typing import Any

import jax

from bench.harness.isolated import Isolated
from bench.harness.own import own_step
from bench.harness.problems import overlapping
from bench.harness.rows import Verdict, row
from bench.harness.timing import interleaved


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by d and platform."""
    n, k, lanes, dims = (500, 3, 8, (2,)) if quick else (50_000, 8, 64, (2, 4, 8, 16, 32))
    platforms = list(dict.fromkeys((jax.default_backend(), "cpu")))
    if platforms == ["cpu"]:
        print("Only a CPU here: there is no other device to compare it with.")
    rows = []
    for d in dims:
        stride = 20 if quick else 5
        arguments = (n, d, k, lanes, stride)
        variants = {
            name: Isolated(step, *arguments, limit=120.0, env=_platform(name, platforms))
            for name in platforms
        }
        try:
            times = interleaved(variants, 0.2 if quick else 8.0, most=9)
        finally:
            for variant in variants.values():
                variant.__exit__()
        for name, variant in variants.items():
            rows.append(_row(name, (n, d, k, lanes), times.get(name), stride, variant.trouble))
    return rows


def _platform(name: str, platforms: list[str]) -> dict[str, str]:
    return {} if name == platforms[0] else {"JAX_PLATFORMS": name}


def step(n: int, d: int, k: int, lanes: int, stride: int):
    """The variant, made in the process that runs it."""
    return own_step(overlapping(n, d, k), k, lanes).variant(stride)


def _row(name, size, timing, stride, trouble) -> dict[str, Any]:
    out = row(name, size, timing, iterations=stride, dtype="float32", trouble=trouble)
    if timing is not None:
        out["giga_responsibilities_per_second"] = 1 / out["ns_per_responsibility"]
    return out


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """10⁹ responsibilities per second, by device and d."""
    return [
        Verdict(
            f"d={one['d']}: G responsibilities/s, {one['what']}",
            one["giga_responsibilities_per_second"],
        )
        for one in rows
        if one["seconds"]
    ]
