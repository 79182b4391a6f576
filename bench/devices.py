"""What does each device of this machine make of the same fits, and from which size on does it win?

In a process of its own for every platform that JAX finds: the device's limits (copy bandwidth, rate
of float32 products); the step on shared data (n = 50,000, K = 8, 64 restarts on a CPU and 1024 on
accelerators, full covariance, float32, d = 2 to 32) by the kernel that jaxem chooses there, and on
accelerators by the others as well; 50 plain EM steps of 20,000 tiny data sets, 2000 on a CPU (n =
500, d = 2, K = 5); 1000 restarts (n = 5000, d = 4, K = 8) to 1e-6 per row; and the step of 8
restarts (d = 4, K = 8) over n, for the size from which another device beats the CPU. `--trace DIR`
adds a profile of each.

Last answer: only a CPU yet, 2.4, 1.9, 1.1, 0.52 and 0.16 G responsibilities per second at d = 2, 4,
8, 16 and 32. Two cores of an AMD EPYC with AVX-512, jax 0.10.2, November 2026.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.harness import device_tasks as tasks
from bench.harness.isolated import Isolated
from bench.harness.products import width_of
from bench.harness.rows import Verdict, row
from bench.harness.timing import Timing, interleaved

#: Goals for an accelerator of the H200's class: G responsibilities/s by kernel and d.
GOALS = {
    ("blocked", 2): 150, ("blocked", 4): 150, ("blocked", 8): 150, ("blocked", 16): 70,
    ("blocked", 32): 20, ("fused", 2): 500, ("fused", 4): 500, ("fused", 8): 250,
    ("tf32x3", 32): 50,
}  # fmt: skip

#: What a kind of task is judged by, and its goal (steps have theirs by kernel and d).
FIGURES: dict[str, tuple[str, str, float | None]] = {
    "step": ("giga_responsibilities_per_second", ">=", None),
    "tiny": ("fits_per_second", ">=", 1e6),
    "restarts": ("seconds", "<=", 0.2),
}

#: Lanes of an accelerator's bucket for one of the CPU's, and iterations of a call likewise.
FAST_LANES, FAST_STRIDES = 16, 8

#: Tiny fits of an accelerator for one of the CPU's.
FEW_SETS = 10

#: Sizes between which the crossover is looked for.
FEW_ROWS = (64, 256, 1024, 4096, 16_384)

#: Bytes of logits that the blocked step writes and reads per float32 responsibility where they do
#: not fit into a cache: written, read for the maximum, the sum and the softmax, written, read.
BLOCKED_BYTES = 24


@dataclass(frozen=True)
class Task:
    """One thing to time on every platform; `only_fast`: not on a CPU."""

    kind: str
    what: str
    make: Callable
    arguments: tuple
    size: tuple[int | None, int | None, int | None, int | None] = (None,) * 4
    iterations: int | None = None
    kernel: str = ""
    only_fast: bool = False


def run(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by task and platform, as they are measured."""
    platforms = found_platforms()
    if platforms == ["cpu"]:
        print("Only a CPU here: there is no other device to compare it with.")
    workers: dict[str, Isolated] = {}
    limits: dict[tuple[str, str], dict[str, Any]] = {}
    try:
        for task in _tasks(quick):
            for one in _timed(task, platforms, workers, 0.2 if quick else 3.0):
                limits[one["kind"], one["platform"]] = one
                yield _with_fractions(one, limits)
    finally:
        for worker in workers.values():
            worker.__exit__()


def found_platforms() -> list[str]:
    """JAX's default platform and the CPU, asked in another process: this one must not take the
    accelerator's memory."""
    code = "import jax; print(jax.default_backend())"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return list(dict.fromkeys((asked.stdout.split()[-1], "cpu")))


def _tasks(quick: bool) -> list[Task]:
    """All tasks; the sizes of a platform's limits are those of a large device."""
    n, k, lanes, dims = (500, 3, 8, (2,)) if quick else (50_000, 8, 64, (2, 4, 8, 16, 32))
    n_bytes, order = (1 << 20, 128) if quick else (1 << 28, 4096)
    out = [
        Task("copy", "copy", tasks.copy, (n_bytes,)),
        Task("product", "product", tasks.product, (order,)),
    ]
    for d in dims:
        for kernel, precision in _ways(d):
            name = precision if precision != "float32" else kernel or "chosen"
            out.append(_step(f"step, {name}", n, d, k, lanes, kernel, precision, name))
    sets, starts, few = (8, 8, (100, 200)) if quick else (20_000, 1000, FEW_ROWS)
    size = (100, 2, 3) if quick else (500, 2, 5)
    steps = tasks.TINY_STEPS
    out.append(Task("tiny", "tiny fits", tasks.tiny, (sets, *size), (*size, sets), steps))
    size = (200, 2, 3) if quick else (5000, 4, 8)
    out.append(Task("restarts", "restarts", tasks.restarts, (*size, starts), (*size, starts)))
    return out + [_step("few rows", m, 4, 8, 8, None, "float32", "") for m in few]


def _ways(d: int) -> list[tuple[str | None, str]]:
    """Kernel and precision of a step: as chosen, then what only accelerators are asked for."""
    named: list[tuple[str | None, str]] = [("blocked", "float32"), ("fused", "float32")]
    return [(None, "float32"), *(named if d <= 8 else named[:1]), ("blocked", "tf32x3")]


def _step(what, n, d, k, lanes, kernel, precision, name) -> Task:
    arguments = n, d, k, lanes, kernel, precision, tasks.STRIDE
    size = n, d, k, lanes
    return Task(
        "step" if name else "few", what, tasks.step, arguments, size, tasks.STRIDE, name,
        only_fast=name not in ("", "chosen"),
    )  # fmt: skip


def _timed(
    task: Task, platforms: list[str], workers: dict[str, Isolated], seconds: float
) -> list[dict[str, Any]]:
    """Rows of the task, by platform; a process that ended is begun anew."""
    asked = {name: _of_platform(task, name) for name in platforms}
    asked = {name: one for name, one in asked.items() if not (one.only_fast and name == "cpu")}
    for name, one in asked.items():
        if name in workers and not workers[name].trouble:
            workers[name].then(one.make, *one.arguments)
        else:
            env = _environment(name, platforms)
            workers[name] = Isolated(one.make, *one.arguments, limit=240.0, env=env)
    times = interleaved({name: workers[name] for name in asked}, seconds, most=9)
    return [_row(one, name, times.get(name), workers[name].trouble) for name, one in asked.items()]


def _of_platform(task: Task, name: str) -> Task:
    """The task at the size of the platform: accelerators are asked for the lanes of their buckets,
    and for so many iterations that a call takes a while; a CPU for few of the tiny fits."""
    if task.kind == "tiny" and name == "cpu":
        sets = max(task.arguments[0] // FEW_SETS, 8)
        return replace(task, arguments=(sets, *task.arguments[1:]), size=(*task.size[:3], sets))
    if task.kind != "step" or name == "cpu":
        return task
    n, d, k, lanes = task.size
    lanes, stride = lanes * FAST_LANES, tasks.STRIDE * FAST_STRIDES
    arguments = n, d, k, lanes, *task.arguments[4:6], stride
    return replace(task, arguments=arguments, size=(n, d, k, lanes), iterations=stride)


def _environment(name: str, platforms: list[str]) -> dict[str, str]:
    """Several processes share an accelerator: none may take all of its memory."""
    own = {} if name == platforms[0] else {"JAX_PLATFORMS": name}
    return {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **own}


def _row(task: Task, platform: str, timing: Timing | None, trouble: str) -> dict[str, Any]:
    known: dict[str, Any] = dict(platform=platform, kind=task.kind, kernel=task.kernel)
    known |= dict(dtype="float32", trouble=trouble, argument=task.arguments[0])
    what = f"{task.what}, {platform}"
    out = row(what, task.size, timing, iterations=task.iterations, **known)
    if timing is None:
        return out
    if task.kind == "copy":
        out["bytes_per_second"] = 2 * task.arguments[0] / timing.median
    elif task.kind == "product":
        out["flop_per_second"] = 2 * task.arguments[0] ** 3 / timing.median
    elif task.kind == "tiny":
        out["fits_per_second"] = task.arguments[0] / timing.median
    elif task.kind in ("step", "few"):
        out["giga_responsibilities_per_second"] = 1 / out["ns_per_responsibility"]
    return out


def _with_fractions(one: dict[str, Any], limits: dict) -> dict[str, Any]:
    """A step as fractions of what its device can do at best, both measured in this run."""
    if one["kind"] != "step" or not one["seconds"]:
        return one
    rate = 1e9 * one["giga_responsibilities_per_second"]
    flop = limits["product", one["platform"]].get("flop_per_second")
    if flop:
        one["of_product_rate"] = 4 * width_of(one["d"]) * rate / flop
    copied = limits["copy", one["platform"]].get("bytes_per_second")
    if copied and one["kernel"] in ("blocked", "tf32x3"):
        one["of_copy_bandwidth"] = BLOCKED_BYTES * rate / copied
    return one


def crossover(rows: list[dict[str, Any]], platform: str) -> float | None:
    """Rows n from which `platform` beats the CPU at d = 4, K = 8, 8 restarts, between the sizes
    measured by a straight line in logarithms; None where it never or always does."""
    few = [one for one in rows if one["kind"] == "few" and one["seconds"]]
    slow = {one["n"]: one["seconds"] for one in few if one["platform"] == "cpu"}
    fast = {one["n"]: one["seconds"] for one in few if one["platform"] == platform}
    sizes = sorted(slow.keys() & fast.keys())
    lead = [float(np.log(slow[n] / fast[n])) for n in sizes]
    for i in range(1, len(sizes)):
        if lead[i - 1] < 0 <= lead[i]:
            share = -lead[i - 1] / (lead[i] - lead[i - 1])
            low, high = np.log(sizes[i - 1]), np.log(sizes[i])
            return float(np.exp(low + share * (high - low)))
    return None


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Rates, with goals where an accelerator was timed; crossovers."""
    out = [_verdict(one) for one in rows if one["seconds"] and one["kind"] in FIGURES]
    for platform in dict.fromkeys(one["platform"] for one in rows):
        size = crossover(rows, platform) if platform != "cpu" else None
        if size is not None:
            out.append(Verdict(f"rows from which {platform} beats the CPU", size))
    return out


def _verdict(one: dict[str, Any]) -> Verdict:
    field, relation, goal = FIGURES[one["kind"]]
    if one["kind"] == "step":
        goal = GOALS.get((one["kernel"], one["d"]))
    what = f"d={one['d']}: {field}, {one['what']}".replace("_", " ")
    if goal is None or one["platform"] == "cpu":
        return Verdict(what, one[field])
    return Verdict(what, one[field], relation, goal)
