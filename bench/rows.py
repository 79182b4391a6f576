"""What do rows cost, from a thousand to more than memory holds?

`file`: a float32 file of n = 50,000,000 rows, d = 8 (1.6 GB), K = 8, 20 starts, full covariance,
`memory_limit` 300 MB, in a process of its own: seconds, and the largest resident memory that the
system counted, imports included.

`passes`: eight EM iterations from one start over the same file, and over the same rows in memory,
in processes of their own: seconds of eight iterations less seconds of none, the best of two.

`sizes`: seconds of a second call of `jaxem.fit` (20 iterations of every start, nothing compiles)
over n, K, d and the number of starts, and of `fit_many` over the number of data sets; and the
exponents of the last steps. What does not grow is n = 10,000, d = 4, K = 4, 10 starts; data sets
have 200 rows.
"""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness.fits import full_mixture
from bench.harness.problems import overlapping, separate
from bench.harness.rows import Part, Verdict, outcome, row

D, K, STARTS = 8, 8, 20

FILE = """
import json, time
import jaxem
from bench.harness.fits import full_mixture
from bench.harness.rows import outcome
from bench.harness.timing import process_peak
begun = time.perf_counter()
fits = jaxem.fit(full_mixture({k}), {path!r}, key=0, n_starts={starts}, memory_limit={limit})
report = fits.report
print(json.dumps(dict(
    outcome(fits), seconds=time.perf_counter() - begun, peak_memory=process_peak(),
    compile_seconds=report.compile_seconds, executed=report.executed,
    most_passes=int(fits.n_iter.max()),
)))
"""

PASSES = """
import json, time
import jax, numpy as np, jaxem
from bench.harness.fits import full_mixture
x = {source}
model = full_mixture({k})
start = jax.device_get(model.init(0, np.load({path!r}, mmap_mode="r")[:20_000].copy()))
def seconds(iterations):
    begun = time.perf_counter()
    jax.block_until_ready(jaxem.em(model, start, x, max_iter=iterations, tol=0.0))
    return time.perf_counter() - begun
seconds(0)
print(json.dumps(min(seconds(8) - seconds(0) for _ in range(2))))
"""


def _process(program: str) -> Any:
    """The JSON that a program prints last, run in a process of its own."""
    root = Path(__file__).parents[1]
    options: dict[str, Any] = dict(check=True, capture_output=True, text=True, timeout=1500)
    found = subprocess.run([sys.executable, "-c", program], cwd=root, **options)
    return json.loads(found.stdout.splitlines()[-1])


def write(path: Path, n: int, d: int, k: int) -> None:
    """An NPY file of f32[n, d], drawn block by block from k Gaussians that overlap a little."""
    rng = np.random.default_rng(0)
    means, share = rng.normal(size=(k, d)) * 2, rng.dirichlet(np.full(k, 3.0))
    factors = np.eye(d) + rng.normal(size=(k, d, d)) * 0.3
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, n, 1 << 18):
            label = rng.choice(k, size=min(1 << 18, n - first), p=share)
            noise = rng.normal(size=(label.size, d))
            x = means[label] + np.einsum("nij,nj->ni", factors[label], noise)
            x.astype(np.float32).tofile(file)


# file, passes --------------------------------------------------------------------------------


def run_file(quick: bool) -> Iterator[dict[str, Any]]:
    """One row."""
    n, limit = (200_000, 10_000_000) if quick else (50_000_000, 300_000_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        write(path, n, D, K)
        known = _process(FILE.format(k=K, path=str(path), starts=STARTS, limit=limit))
        size = path.stat().st_size
    seconds = known.pop("seconds")
    yield row(
        "jaxem.fit of a file", (n, D, K, STARTS), seconds, dtype="float32", file=size, **known
    )


def file_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Memory against 700 MB."""
    (one,) = rows
    return [
        Verdict("peak resident memory, MB", one["peak_memory"] / 1e6, "<=", 700.0),
        Verdict("size of the file, MB", one["file"] / 1e6),
        Verdict("passes of the best start", float(one["most_passes"])),
    ]


def run_passes(quick: bool) -> Iterator[dict[str, Any]]:
    """The file, then the same rows in memory."""
    n = 200_000 if quick else 50_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        write(path, n, D, K)
        sources = {
            "jaxem.em of a file": repr(str(path)),
            "jaxem.em in memory": f"np.load({str(path)!r})",
        }
        for name, source in sources.items():
            seconds = _process(PASSES.format(k=K, path=str(path), source=source))
            yield row(name, (n, D, K, 1), seconds, iterations=8.0, dtype="float32")


def passes_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """The file against memory."""
    file, memory = rows
    return [Verdict("file / memory", file["seconds"] / memory["seconds"], "<=", 1.3)]


# sizes ---------------------------------------------------------------------------------------

#: Sizes of each axis, and its ordinary size.
AXES = {
    "n": (1_000, 10_000, 100_000, 1_000_000),
    "k": (2, 4, 8, 16, 32),
    "d": (2, 4, 8, 16, 32),
    "starts": (1, 10, 100, 1000),
    "data sets": (10, 100, 1000, 10_000),
}
USUAL = {"n": 10_000, "k": 4, "d": 4, "starts": 10}


def run_sizes(quick: bool) -> Iterator[dict[str, Any]]:
    """A row for each size of each axis."""
    for axis, sizes in AXES.items():
        for size in sizes[:2] if quick else sizes:
            yield _grown(axis, size)


def _grown(axis: str, size: int) -> dict[str, Any]:
    usual = USUAL | ({axis: size} if axis in USUAL else {})
    n, k, d, starts = usual["n"], usual["k"], usual["d"], usual["starts"]
    how: dict[str, Any] = dict(n_starts=starts, max_iter=20, tol=0.0, accelerate=None, race=False)
    if axis == "data sets":
        n, x = 200, separate(size, 200, d, k)
    else:
        x = overlapping(n, d, k)

    def call(seed: int) -> jaxem.Fit:
        door = jaxem.fit_many if axis == "data sets" else jaxem.fit
        return door(full_mixture(k), x, key=jax.random.key(seed), **how)

    call(0)
    begun = time.perf_counter()
    fits = call(1)
    seconds = time.perf_counter() - begun
    lanes = int(np.size(fits.status))
    known = dict(outcome(fits), axis=axis, at=size, dtype="float32")
    return row(f"{axis} = {size:,}", (n, d, k, lanes), seconds, **known)


def sizes_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """The exponent of every axis between its two largest sizes."""
    out = []
    for axis in dict.fromkeys(one["axis"] for one in rows):
        before, last = [one for one in rows if one["axis"] == axis][-2:]
        grown = math.log(last["seconds"] / before["seconds"])
        exponent = grown / math.log(last["at"] / before["at"])
        out.append(Verdict(f"exponent of {axis}, {before['at']:,} to {last['at']:,}", exponent))
    return out


def draw_sizes(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Seconds over each axis, both logarithmic."""
    figure.set_figheight(2.6)
    panels = figure.subplots(1, len(AXES), sharey=True)
    for axes, axis in zip(panels, AXES, strict=True):
        own = [one for one in rows if one["axis"] == axis]
        axes.loglog([r["at"] for r in own], [r["seconds"] for r in own], "o-", color="#0072B2")
        axes.set(xlabel=axis)
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="seconds, 20 iterations")


PARTS = {
    "file": Part(run_file, file_verdicts),
    "passes": Part(run_passes, passes_verdicts),
    "sizes": Part(run_sizes, sizes_verdicts, draw_sizes),
}
