"""What does each device of this machine make of the same fits, and from which size on does it win?

`devices`: in a process of its own for every platform that JAX finds: the step on shared data (n =
50,000, K = 8, 64 restarts on a CPU and 1024 on accelerators, full covariance, float32, d = 2 to
32); 50 plain EM steps of 20,000 tiny data sets, 2000 on a CPU (n = 500, d = 2, K = 5); 1000
restarts (n = 5000, d = 4, K = 8) to 1e-6 per row; and the step of 8 restarts (d = 4, K = 8) over n,
for the size from which another device beats the CPU.

`fused`: one call of each kernel on n = 50,000 shared rows and 8192 columns (lanes × components),
full covariance, float32: the fused kernel's tile as planned, the blocked kernel in one block, and
where products decide (d = 16, 32) its fast precision. Largest difference of the moments from those
of the blocked kernel, as a share of the largest moment. Without a GPU there is nothing to time.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.harness import device_tasks as tasks
from bench.harness import figures
from bench.harness.isolated import Isolated
from bench.harness.kernel_calls import kernel_rows
from bench.harness.rows import Part, Verdict, row
from bench.harness.timing import Timing, interleaved

#: What a kind of task is judged by, and its goal for an accelerator of the H200's class; steps have
#: theirs by d.
JUDGED: dict[str, tuple[str, str, float | None]] = {
    "step": ("giga_responsibilities_per_second", ">=", None),
    "tiny": ("fits_per_second", ">=", 1e6),
    "restarts": ("seconds", "<=", 0.2),
}
STEP_GOALS = {2: 500, 4: 500, 8: 250, 16: 70, 32: 20}

#: G responsibilities/s of an H200 by kernel and d, K = 8.
KERNEL_GOALS = {("fused", 2): 500, ("fused", 4): 500, ("fused", 8): 250, ("tf32x3", 32): 50}
KERNEL_GOALS |= {("blocked", 2): 150, ("blocked", 4): 150, ("blocked", 8): 150, ("blocked", 32): 20}

#: Lanes of an accelerator's bucket for one of the CPU's, and iterations of a call likewise.
FAST_LANES, FAST_STRIDES = 16, 8

#: Tiny fits of an accelerator for one of the CPU's.
FEW_SETS = 10

#: Sizes between which the crossover is looked for.
FEW_ROWS = (64, 256, 1024, 4096, 16_384)


@dataclass(frozen=True)
class Task:
    """One thing to time on every platform."""

    kind: str
    what: str
    make: Callable
    arguments: tuple
    size: tuple[int, int, int, int]
    iterations: int | None = None


def run(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows by task and platform, as they are measured."""
    platforms = found_platforms()
    if platforms == ["cpu"]:
        print("Only a CPU here: there is no other device to compare it with.")
    workers: dict[str, Isolated] = {}
    try:
        for task in _tasks(quick):
            yield from _timed(task, platforms, workers, 0.2 if quick else 3.0)
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
    n, k, lanes, dims = (500, 3, 8, (2,)) if quick else (50_000, 8, 64, (2, 4, 8, 16, 32))
    out = [_step("step", "step", n, d, k, lanes) for d in dims]
    sets, starts, few = (8, 8, (100, 200)) if quick else (20_000, 1000, FEW_ROWS)
    size = (100, 2, 3) if quick else (500, 2, 5)
    steps = tasks.TINY_STEPS
    out.append(Task("tiny", "tiny fits", tasks.tiny, (sets, *size), (*size, sets), steps))
    size = (200, 2, 3, starts) if quick else (5000, 4, 8, starts)
    out.append(Task("restarts", "restarts", tasks.restarts, size, size))
    return out + [_step("few", "few rows", m, 4, 8, 8) for m in few]


def _step(kind, what, n, d, k, lanes, stride=tasks.STRIDE) -> Task:
    return Task(kind, what, tasks.step, (n, d, k, lanes, stride), (n, d, k, lanes), stride)


def _timed(
    task: Task, platforms: list[str], workers: dict[str, Isolated], seconds: float
) -> list[dict[str, Any]]:
    """Rows of the task, by platform; a process that ended is begun anew."""
    asked = {name: _of_platform(task, name) for name in platforms}
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
    n, d, k, lanes = task.size
    if task.kind == "tiny" and name == "cpu":
        sets = max(lanes // FEW_SETS, 8)
        return replace(task, arguments=(sets, n, d, k), size=(n, d, k, sets))
    if task.kind != "step" or name == "cpu":
        return task
    return _step("step", task.what, n, d, k, lanes * FAST_LANES, tasks.STRIDE * FAST_STRIDES)


def _environment(name: str, platforms: list[str]) -> dict[str, str]:
    """Several processes share an accelerator: none may take all of its memory."""
    own = {} if name == platforms[0] else {"JAX_PLATFORMS": name}
    return {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **own}


def _row(task: Task, platform: str, timing: Timing | None, trouble: str) -> dict[str, Any]:
    known: dict[str, Any] = dict(platform=platform, kind=task.kind, dtype="float32")
    out = row(f"{task.what}, {platform}", task.size, timing, iterations=task.iterations, **known)
    out["trouble"] = trouble
    if timing is not None and task.kind == "tiny":
        out["fits_per_second"] = task.size[3] / timing.median
    elif timing is not None and task.kind in ("step", "few"):
        out["giga_responsibilities_per_second"] = 1 / out["ns_per_responsibility"]
    return out


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
    out = [_verdict(one) for one in rows if one["seconds"] and one["kind"] in JUDGED]
    for platform in dict.fromkeys(one["platform"] for one in rows):
        size = crossover(rows, platform) if platform != "cpu" else None
        if size is not None:
            out.append(Verdict(f"rows from which {platform} beats the CPU", size))
    return out


def _verdict(one: dict[str, Any]) -> Verdict:
    field, relation, goal = JUDGED[one["kind"]]
    if one["kind"] == "step":
        goal = STEP_GOALS.get(one["d"])
    what = f"d={one['d']}: {field}, {one['what']}".replace("_", " ")
    if goal is None or one["platform"] == "cpu":
        return Verdict(what, one[field])
    return Verdict(what, one[field], relation, goal)


def fused_verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """G responsibilities/s by size and kernel."""
    out = []
    for one in rows:
        goal = KERNEL_GOALS.get((one["kernel"], one["d"])) if one["k"] == 8 else None
        rate = 1 / one["ns_per_responsibility"]
        out.append(
            Verdict(f"{one['what']}: G responsibilities/s", rate, ">=" if goal else "", goal)
        )
    return out


def draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Rate of the step over d by device; time of an iteration over n, where it was measured."""
    short = [r for r in rows if r["kind"] == "few" and r["seconds"]]
    panels = figure.subplots(1, 2 if short else 1, squeeze=False)[0]
    steps = [r for r in rows if r["kind"] == "step"]
    figures.plot_lines(panels[0], steps, "d", list(dict.fromkeys(r["what"] for r in steps)))
    panels[0].set(title="The step, n = 50,000, K = 8", xlabel="d, features (full covariance)")
    if short:
        _draw_few(panels[1], short)
    for axes in panels:
        axes.legend(fontsize=7)


def _draw_few(axes: Any, rows: list[dict[str, Any]]) -> None:
    platforms = dict.fromkeys(r["platform"] for r in rows)
    for platform, (colour, marker) in zip(platforms, figures.STYLES, strict=False):
        own = [r for r in rows if r["platform"] == platform]
        times = [1e6 * r["seconds"] / r["iterations"] for r in own]
        axes.plot([r["n"] for r in own], times, color=colour, marker=marker, label=platform)
    axes.set(xscale="log", yscale="log", xlabel="n, rows", ylabel="µs per iteration")
    axes.set_title("8 restarts, d = 4, K = 8")
    figures.plain_numbers(axes.yaxis)
    sizes = sorted({r["n"] for r in rows})
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)


PARTS = {
    "devices": Part(run, verdicts, draw),
    "fused": Part(kernel_rows, fused_verdicts),
}
