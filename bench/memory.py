"""How much memory does a large fit take?

n = 2,000,000, d = 8, K = 16, 64 starts, three iterations, float32, in a process of its own; the
largest resident memory the system counted, the data and the imports included; with the default
memory limit (a share of what the machine has) and with `memory_limit` of one gigabyte.

Last answer: 1.08 GB at most, 0.24 GB of which before the fit began. Two cores of an AMD EPYC with
AVX-512, jax 0.10.2, November 2026.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.harness.rows import Verdict, row

PROGRAM = """
import json, time
import jax, numpy as np, jaxem
from bench.harness.rows import outcome
from bench.harness.timing import process_peak
jax.devices()
rng = np.random.default_rng(0)
x = rng.standard_normal(({n}, {d}), dtype=np.float32)
x += 4 * rng.integers(0, 2, size=({n}, 1), dtype=np.int8)
before = process_peak()
model = jaxem.Mixture(jaxem.Gaussian("full"), n_components={k})
begun = time.perf_counter()
fits = jaxem.fit(
    model, x, key=jax.random.key(0), n_starts={lanes}, max_iter=3, race=False,
    init="random_from_data", memory_limit={limit},
)
seconds = time.perf_counter() - begun
print(json.dumps(dict(
    outcome(fits), seconds=seconds, peak_memory=process_peak(), before=before,
    data=x.nbytes, compile_seconds=fits.report.compile_seconds,
)))
"""


def run(quick: bool) -> list[dict[str, Any]]:
    """Two rows: by default, and under a limit."""
    return [_row("by default", quick, None), _row("memory_limit 1 GB", quick, 10**9)]


def _row(name: str, quick: bool, limit: int | None) -> dict[str, Any]:
    n, d, k, lanes = (20_000, 8, 4, 8) if quick else (2_000_000, 8, 16, 64)
    program = PROGRAM.format(n=n, d=d, k=k, lanes=lanes, limit=limit)
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        timeout=600,
    )
    known = json.loads(done.stdout.splitlines()[-1])
    seconds = known.pop("seconds")
    return row(f"jaxem.fit, {name}", (n, d, k, lanes), seconds, dtype="float32", **known)


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Against two gigabytes."""
    one = rows[0]
    whole = 4e-9 * one["n"] * one["k"] * one["lanes"]
    return [
        *(Verdict(f"peak GB, {r['what']}", r["peak_memory"] / 1e9, "<=", 2.0) for r in rows),
        Verdict("of which before the fit began, GB", one["before"] / 1e9),
        Verdict("n × K × lanes in float32 would be, GB", whole),
    ]
