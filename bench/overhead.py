"""What do a cold start, compiling and memory cost beside the arithmetic?

`start`: a new process imports, compiles and fits n = 5000, d = 4, K = 8, full covariance, one
start, tolerance 1e-5 per row; scikit-learn's beside it.

`compilation`: `jaxem.fit` and `fit_many` of several shapes with empty caches; then again with
another tolerance, other data of the same shape and another key, which must compile nothing.

`first`: Old Faithful, K = 2, 32 starts in a new process, nothing cached, float32 and float64: the
first call; then 200 rows in place of 272, one start more, one component more. scikit-learn's
`n_init=32` beside it.

`estimator`: `GridSearchCV` over `jaxem.sklearn.GaussianMixture` in a new process, and predictions
of one row (see `bench.harness.grid_search`).

`memory`: n = 2,000,000, d = 8, K = 16, 64 starts, three iterations, float32, in a process of its
own; the largest resident memory the system counted, the data and the imports included; with the
default memory limit (a share of what the machine has) and with `memory_limit` of one gigabyte.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness import grid_search, peers
from bench.harness.fits import full_mixture
from bench.harness.problems import overlapping, separate
from bench.harness.rows import Part, Verdict, outcome, row
from bench.harness.timing import Timing, interleaved

COLD = """
import jax, numpy as np, jaxem
from bench.harness.problems import overlapping
x = overlapping({n}, 4, {k})
model = jaxem.Mixture(jaxem.Gaussian("full"), n_components={k})
fit = jaxem.fit(model, x, key=jax.random.key(0), n_starts=1, tol=1e-5)
assert np.isfinite(fit.log_likelihood).all()
"""

COLD_SKLEARN = """
import numpy as np
from sklearn.mixture import GaussianMixture
x = np.random.default_rng(0).normal(size=({n}, 4)).astype(np.float32)
GaussianMixture({k}, init_params="k-means++", max_iter=20, tol=0.1).fit(x)
"""

FIRST = """
import json, time
import jax, numpy as np, jaxem
from jaxem import datasets
x = datasets.load("old_faithful").astype("{dtype}")
def fit(x, k, n_starts):
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    begun = time.perf_counter()
    report = jaxem.fit(model, x, key=jax.random.key(0), n_starts=n_starts).report
    return dict(seconds=time.perf_counter() - begun, programs=report.programs)
print(json.dumps({{
    "first call": fit(x, 2, 32), "again": fit(x, 2, 32), "200 rows": fit(x[:200], 2, 32),
    "one start more": fit(x, 2, 33), "one component more": fit(x, 3, 32),
}}))
"""

FIRST_SKLEARN = """
import json, time
from sklearn.mixture import GaussianMixture
from jaxem import datasets
x = datasets.load("old_faithful").astype("{dtype}")
begun = time.perf_counter()
GaussianMixture(2, init_params="k-means++", n_init=32).fit(x)
print(json.dumps({{"first call": dict(seconds=time.perf_counter() - begun, programs=0)}}))
"""

LARGE = """
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


def _process(program: str) -> str:
    """What a program prints that runs in a process of its own."""
    root = Path(__file__).parents[1]
    options: dict[str, Any] = dict(check=True, capture_output=True, text=True, timeout=600)
    return subprocess.run([sys.executable, "-c", program], cwd=root, **options).stdout


# start ---------------------------------------------------------------------------------------


def run_start(quick: bool) -> list[dict[str, Any]]:
    """A row of jaxem, one of scikit-learn."""
    n, k, repeats = (300, 3, 1) if quick else (5000, 8, 3)
    programs = {"cold start, jaxem": COLD}
    if peers.installed("sklearn"):
        programs["cold start, scikit-learn"] = COLD_SKLEARN
    variants = {name: partial(_cold, text.format(n=n, k=k)) for name, text in programs.items()}
    times = interleaved(variants, 60.0, least=repeats, most=repeats)
    return [row(name, (n, 4, k, 1), timing) for name, timing in times.items()]


def _cold(program: str) -> float:
    begun = time.perf_counter()
    _process(program)
    return time.perf_counter() - begun


def start_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Against six seconds."""
    return [Verdict("cold start, seconds", rows[0]["seconds"], "<=", 6.0)]


# first ---------------------------------------------------------------------------------------


def run_first(quick: bool) -> Iterator[dict[str, Any]]:
    """A row for each call: the median of three processes, or the one of a smoke run."""
    for name, program in (("jaxem", FIRST), ("scikit-learn", FIRST_SKLEARN)):
        if name == "scikit-learn" and not peers.installed("sklearn"):
            continue
        for dtype in ("float32", "float64"):
            runs = range(1 if quick else 3)
            told = [json.loads(_process(program.format(dtype=dtype))) for _ in runs]
            for call in told[0]:
                timing = Timing(tuple(one[call]["seconds"] for one in told))
                known = dict(dtype=dtype, programs=told[0][call]["programs"], call=call)
                yield row(f"{name}, {call}", (272, 2, 2, 32), timing, **known)


def first_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """The first call against 1.2 seconds and four programs, later ones against 0.05 seconds."""
    out = []
    for one in rows:
        what = f"{one['what']}, {one['dtype']}"
        if not one["what"].startswith("jaxem"):
            out.append(Verdict(f"{what}: seconds", one["seconds"]))
            continue
        first = one["call"] == "first call"
        out.append(Verdict(f"{what}: seconds", one["seconds"], "<=", 1.2 if first else 0.05))
        out.append(Verdict(f"{what}: programs", one["programs"], "<=", 4.0 if first else 0.0))
    return out


# compilation ---------------------------------------------------------------------------------


def run_compilation(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by shape: the first call, and the second with new numbers."""
    if quick:
        yield from _fit(100, 2, 3, 8)
        return
    for n, d, k, n_starts in (
        (1000, 2, 3, 1),
        (1000, 2, 3, 32),
        (1000, 2, 3, 1000),
        (1000, 8, 8, 100),
        (1000, 16, 8, 100),
        (1000, 32, 8, 100),
        (5000, 4, 8, 1000),
    ):
        yield from _fit(n, d, k, n_starts)
    for accelerator in ("anderson", "squarem"):
        yield from _fit(1000, 4, 3, 100, accelerate=accelerator)
    yield from _fit_many()


def _fit(n, d, k, n_starts, **options) -> Iterator[dict[str, Any]]:
    def call(seed, tol):
        x = overlapping(n, d, k, seed=seed)
        how: Any = dict(n_starts=n_starts, tol=tol, max_iter=100, **options)
        return jaxem.fit(full_mixture(k), x, key=jax.random.key(seed), **how)

    return _twice(", ".join(["fit", *options.values()]), (n, d, k, n_starts), call)


def _fit_many() -> Iterator[dict[str, Any]]:
    def call(seed, tol):
        lengths = np.random.default_rng(0).integers(50, 400, size=200)
        sets = [x[:n] for x, n in zip(separate(200, 400, 2, 3, seed), lengths, strict=True)]
        key = jax.random.key(seed)
        return jaxem.fit_many(full_mixture(3), sets, key=key, tol=tol, max_iter=100)

    return _twice("fit_many, ragged", (400, 2, 3, 2000), call)


def _twice(name, size, call) -> Iterator[dict[str, Any]]:
    jax.clear_caches()
    for label, seed, tol in (("first", 0, 1e-4), ("again, new numbers", 1, 1e-5)):
        begun = time.perf_counter()
        fits = call(seed, tol)
        seconds = time.perf_counter() - begun
        report = fits.report
        known = dict(compile_seconds=report.compile_seconds, programs=report.programs, call=label)
        known |= outcome(fits) | {"dtype": "float32"}
        yield row(f"{name}, {label}", size, seconds, **known)


def compilation_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Programs and seconds of first calls; programs of second calls must be none."""
    out = []
    for one in rows:
        where = f"{one['what']}, n={one['n']} d={one['d']} K={one['k']} lanes={one['lanes']}"
        if one["call"] == "first":
            out.append(Verdict(f"{where}: programs", one["programs"]))
            out.append(Verdict(f"{where}: compile seconds", one["compile_seconds"]))
        else:
            out.append(Verdict(f"{where}: programs", one["programs"], "<=", 0.0))
    return out


# memory --------------------------------------------------------------------------------------


def run_memory(quick: bool) -> Iterator[dict[str, Any]]:
    """Two rows: by default, and under a limit."""
    n, d, k, lanes = (20_000, 8, 4, 8) if quick else (2_000_000, 8, 16, 64)
    for name, limit in (("by default", None), ("memory_limit 1 GB", 10**9)):
        printed = _process(LARGE.format(n=n, d=d, k=k, lanes=lanes, limit=limit))
        known = json.loads(printed.splitlines()[-1])
        seconds = known.pop("seconds")
        yield row(f"jaxem.fit, {name}", (n, d, k, lanes), seconds, dtype="float32", **known)


def memory_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Against two gigabytes."""
    one = rows[0]
    whole = 4e-9 * one["n"] * one["k"] * one["lanes"]
    return [
        *(Verdict(f"peak GB, {r['what']}", r["peak_memory"] / 1e9, "<=", 2.0) for r in rows),
        Verdict("of which before the fit began, GB", one["before"] / 1e9),
        Verdict("n × K × lanes in float32 would be, GB", whole),
    ]


PARTS = {
    "start": Part(run_start, start_verdicts),
    "first": Part(run_first, first_verdicts),
    "estimator": Part(partial(grid_search.run, _process), grid_search.verdicts),
    "compilation": Part(run_compilation, compilation_verdicts),
    "memory": Part(run_memory, memory_verdicts),
}
