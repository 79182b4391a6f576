"""What does compiling cost, how many programs are compiled, and what compiles nothing?

`jaxem.fit` and `fit_many` of several shapes with empty caches; then again with another tolerance,
other data of the same shape and another key, which must compile nothing.

Last answer: a first call compiles 10 to 17 programs, for 4 to 6.3 s, whatever d up to 32. New
numbers of the same shape compile nothing, or what the first call had not needed (at most 4
programs). Two cores of an AMD EPYC with AVX-512, jax 0.10.2, November 2026.
"""

import time
from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness.problems import overlapping, separate
from bench.harness.rows import Verdict, outcome, row


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows by shape: the first call, and the second with new numbers."""
    if quick:
        return _fit(100, 2, 3, 8)
    rows = []
    for n, d, k, n_starts in (
        (1000, 2, 3, 1),
        (1000, 2, 3, 32),
        (1000, 2, 3, 1000),
        (1000, 8, 8, 100),
        (1000, 16, 8, 100),
        (1000, 32, 8, 100),
        (5000, 4, 8, 1000),
    ):
        rows += _fit(n, d, k, n_starts)
    for accelerator in ("anderson", "squarem"):
        rows += _fit(1000, 4, 3, 100, accelerate=accelerator)
    return rows + _fit_many()


def _fit(n, d, k, n_starts, **options) -> list[dict[str, Any]]:
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
    name = ", ".join(["fit", *options.values()])

    def call(seed, tol):
        x = overlapping(n, d, k, seed=seed)
        key = jax.random.key(seed)
        return jaxem.fit(model, x, key=key, n_starts=n_starts, tol=tol, max_iter=100, **options)

    return _twice(name, (n, d, k, n_starts), call)


def _fit_many() -> list[dict[str, Any]]:
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)

    def call(seed, tol):
        lengths = np.random.default_rng(0).integers(50, 400, size=200)
        sets = [x[:n] for x, n in zip(separate(200, 400, 2, 3, seed), lengths, strict=True)]
        return jaxem.fit_many(model, sets, key=jax.random.key(seed), tol=tol, max_iter=100)

    return _twice("fit_many, ragged", (400, 2, 3, 2000), call)


def _twice(name, size, call) -> list[dict[str, Any]]:
    jax.clear_caches()
    rows = []
    for label, seed, tol in (("first", 0, 1e-4), ("again, new numbers", 1, 1e-5)):
        begun = time.perf_counter()
        fits = call(seed, tol)
        seconds = time.perf_counter() - begun
        rows.append(
            row(
                f"{name}, {label}",
                size,
                seconds,
                **outcome(fits),
                compile_seconds=fits.report.compile_seconds,
                programs=fits.report.programs,
                dtype="float32",
                call=label,
            )
        )
    return rows


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
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
