"""How does the cost of a responsibility grow with n, d, K and the number of lanes?

One is varied at a time around n = 4000, d = 4, K = 8, 64 lanes; full covariance, float32, the
engine's step alone.

Last answer: in n, K and lanes it falls to the level of large problems and stays there (2.7 ns at
n = 250, 0.63 at 4000, 0.52 at 64,000; 1.2 at one lane, 0.65 from 64 on; 1.2 at K = 2, 0.60 at 32);
in d it grows as the number of features: 0.35, 0.41, 0.66, 1.1, 2.3, 7.7 ns at d = 1, 2, 4, 8, 16,
32. Two cores of an AMD EPYC with AVX-512, jax 0.10.2, November 2026.
"""

from typing import Any

from bench.harness.machine import cores
from bench.harness.own import own_step
from bench.harness.problems import overlapping
from bench.harness.products import width_of
from bench.harness.rows import Verdict, row
from bench.harness.timing import interleaved

BASE = {"n": 4000, "d": 4, "k": 8, "lanes": 64}
VALUES = {
    "n": (250, 1000, 4000, 16_000, 64_000),
    "d": (1, 2, 4, 8, 16, 32),
    "k": (2, 4, 8, 16, 32),
    "lanes": (1, 4, 16, 64, 256, 1024),
}
QUICK_BASE = {"n": 300, "d": 2, "k": 3, "lanes": 8}
QUICK_VALUES = {"n": (100, 300), "lanes": (2, 8)}


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by what is varied."""
    base, values = (QUICK_BASE, QUICK_VALUES) if quick else (BASE, VALUES)
    seconds = 0.2 if quick else 10.0
    return [one for axis in values for one in _along(axis, values[axis], base, seconds)]


def _along(axis, values, base, seconds) -> list[dict[str, Any]]:
    steps, strides, variants = {}, {}, {}
    for value in values:
        size = base | {axis: value}
        work = size["n"] * size["k"] * size["lanes"] * (1 + width_of(size["d"]) / 30) * 1e-9
        x = overlapping(size["n"], size["d"], size["k"])
        steps[value] = own_step(x, size["k"], size["lanes"])
        strides[value] = max(2, min(200, round(0.1 / work)))
        variants[str(value)] = steps[value].variant(strides[value])
    times = interleaved(variants, seconds)
    rows = []
    for value in values:
        size = base | {axis: value}
        rows.append(
            row(
                f"{axis} = {value}",
                (size["n"], size["d"], size["k"], size["lanes"]),
                times[str(value)],
                iterations=strides[value],
                statuses=steps[value].statuses(strides[value]),
                compile_seconds=steps[value].compile_seconds,
                dtype="float32",
                threads=cores(),
                axis=axis,
                bucket=steps[value].plan.bucket,
                block_rows=steps[value].plan.rows,
            )
        )
    return rows


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """The dearest over the cheapest responsibility along each axis; no goals."""
    out = []
    for axis in dict.fromkeys(one["axis"] for one in rows):
        costs = [one["ns_per_responsibility"] for one in rows if one["axis"] == axis]
        out.append(
            Verdict(
                f"ns per responsibility, dearest / cheapest along {axis}", max(costs) / min(costs)
            )
        )
    return out
