"""What does one EM iteration cost beside the matrix products it is made of, and beside peers?

Nanoseconds per responsibility (one row × component × restart × iteration); full covariance,
float32.

`step`: 64 restarts on shared data, n = 8000, K = 8, d = 2 to 64. Beside jaxem's engine: 4P flop per
responsibility at the machine's best float32 matrix rate; its two bare matrix products; scikit-learn
on all cores; gmmx alone and under `vmap`; the obvious JAX step under `vmap`.

`growth`: n, d, K and the number of lanes varied one at a time around n = 4000, d = 4, K = 8, 64
lanes; the engine's step alone.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.harness import figures, peers, products
from bench.harness.isolated import ONE_BLAS_THREAD, Isolated
from bench.harness.machine import cores
from bench.harness.own import own_step
from bench.harness.problems import overlapping
from bench.harness.rows import Part, Verdict, row
from bench.harness.timing import Timing, clocked, interleaved, paired_ratio

OWN, PRODUCTS, FLOOR = "jaxem", "two bare products", "4P flop at the best rate"
SKLEARN, GMMX, GMMX_ALONE, OBVIOUS = "scikit-learn", "gmmx, vmap", "gmmx, alone", "obvious, vmap"
#: jaxem once more, timed in turn with the peers.
AGAIN = "jaxem, beside peers"

#: Goals by d: at most so many times the floor or the bare products, at least so many times faster.
FLOOR_GOAL = {16: 1.3, 32: 1.3, 64: 1.3}
PRODUCTS_GOAL = {2: 2.0, 4: 2.0, 8: 2.0}
SKLEARN_GOAL = {4: 30.0, 16: 10.0, 32: 4.0, 64: 1.8}

#: Peers under `vmap` get as many restarts as fit in so many bytes.
PEER_BYTES = 1 << 28

#: `growth`: what is held, and what each is varied over.
BASE = {"n": 4000, "d": 4, "k": 8, "lanes": 64}
VALUES = {
    "n": (250, 1000, 4000, 16_000, 64_000),
    "d": (1, 2, 4, 8, 16, 32),
    "k": (2, 4, 8, 16, 32),
    "lanes": (1, 4, 16, 64, 256, 1024),
}
QUICK_BASE = {"n": 300, "d": 2, "k": 3, "lanes": 8}
QUICK_VALUES = {"n": (100, 300), "lanes": (2, 8)}


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
    """Peers whose compiled loops call LAPACK, whose threads may stall one another: each in a
    process of its own, with one BLAS thread."""
    n, d = x.shape
    fit_in = max(1, min(lanes, PEER_BYTES // (16 * n * k * d)))
    how: dict[str, Any] = dict(limit=45.0, env=ONE_BLAS_THREAD)
    out = {OBVIOUS: ((fit_in, few), Isolated(peers.obvious_steps, x, k, fit_in, few, **how))}
    if peers.installed("gmmx"):
        out[GMMX] = (fit_in, few), Isolated(peers.gmmx_steps, x, k, fit_in, few, **how)
        out[GMMX_ALONE] = (1, 2 * few), Isolated(peers.gmmx_steps, x, k, 1, 2 * few, **how)
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
        for name, goal in ((GMMX, 15.0), (OBVIOUS, 15.0), (GMMX_ALONE, None)):
            if name in by_name:
                ratio = _ratio(by_name[name], own)
                out.append(Verdict(f"d={d}: {name} / jaxem", ratio, ">=", goal))
    return out


def _ratio(a: dict, b: dict) -> float:
    """Per responsibility, the pairs of each round compared."""
    scale = (a["lanes"] * a["iterations"]) / (b["lanes"] * b["iterations"])
    return paired_ratio(Timing(tuple(a["samples"])), Timing(tuple(b["samples"]))) / scale


def run_growth(quick: bool) -> list[dict[str, Any]]:
    """Rows by what is varied."""
    base, values = (QUICK_BASE, QUICK_VALUES) if quick else (BASE, VALUES)
    seconds = 0.2 if quick else 10.0
    return [one for axis in values for one in _along(axis, values[axis], base, seconds)]


def _along(axis, values, base, seconds) -> list[dict[str, Any]]:
    steps, strides, variants = {}, {}, {}
    for value in values:
        size = base | {axis: value}
        work = (
            size["n"] * size["k"] * size["lanes"] * (1 + products.width_of(size["d"]) / 30) * 1e-9
        )
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


def growth_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """The dearest over the cheapest responsibility along each axis; no goals."""
    out = []
    for axis in dict.fromkeys(one["axis"] for one in rows):
        costs = [one["ns_per_responsibility"] for one in rows if one["axis"] == axis]
        what = f"ns per responsibility, dearest / cheapest along {axis}"
        out.append(Verdict(what, max(costs) / min(costs)))
    return out


def draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Cost of an iteration over d."""
    axes = figure.subplots()
    names = [n for n in dict.fromkeys(r["what"] for r in rows) if n != AGAIN]
    figures.plot_lines(axes, rows, "d", sorted(names, key=lambda name: name != OWN))
    one = next(r for r in rows if r["what"] == OWN)
    axes.set_title(f"One EM iteration, n = {one['n']}, K = {one['k']}, {one['lanes']} restarts")
    axes.set_xlabel("d, features (full covariance)")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw_growth(figure: Any, rows: list[dict[str, Any]]) -> None:
    """A panel by what is varied."""
    figure.set_size_inches(8.0, 6.0)
    kinds = list(dict.fromkeys(r["axis"] for r in rows))
    panels = figure.subplots(-(-len(kinds) // 2), 2, squeeze=False).flat
    for axes, kind in zip(panels, kinds, strict=False):
        own = [r | {"what": OWN} for r in rows if r["axis"] == kind]
        figures.plot_lines(axes, own, kind, [OWN])
        axes.set_xlabel(kind if kind != "k" else "K")
    figure.suptitle("Cost of a responsibility, one size varied at a time")


PARTS = {
    "step": Part(run, verdicts, draw),
    "growth": Part(run_growth, growth_verdicts, draw_growth),
}
