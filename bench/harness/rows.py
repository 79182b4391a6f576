"""Rows: every measurement with its outcome, machine and versions; a fast wrong answer shows."""

import datetime
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import jaxem
from bench.harness import machine
from bench.harness.timing import Timing

#: What every row carries; None where it has no meaning.
FIELDS = (
    "what",
    "n",
    "d",
    "k",
    "lanes",
    "iterations",
    "statuses",
    "best_log_likelihood",
    "seconds",
    "seconds_min",
    "seconds_max",
    "samples",
    "ns_per_responsibility",
    "compile_seconds",
    "peak_memory",
    "dtype",
    "threads",
    "load",
    "hardware",
    "versions",
    "date",
)


def row(
    what: str,
    size: tuple[int | None, int | None, int | None, int | None],
    seconds: Timing | float | None = None,
    *,
    iterations: float | None = None,
    **known: Any,
) -> dict[str, Any]:
    """A row of the table; `size` is (n, d, k, lanes), `iterations` the mean E-steps of a lane.

    Keywords fill the other `FIELDS` or add fields of the question's own.
    """
    timing = Timing((seconds,)) if isinstance(seconds, float) else seconds
    out: dict[str, Any] = dict.fromkeys(FIELDS)
    out.update(what=what, iterations=iterations, load=machine.load())
    out.update(zip(("n", "d", "k", "lanes"), size, strict=True))
    out.update(hardware=machine.hardware(), versions=machine.versions())
    out["date"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    if timing is not None:
        out.update(seconds=timing.median, samples=list(timing.samples))
        out.update(seconds_min=min(timing.samples), seconds_max=max(timing.samples))
        n, _, k, lanes = size
        if n and k and lanes and iterations:
            out["ns_per_responsibility"] = 1e9 * timing.median / (n * k * lanes * iterations)
    return out | known


def outcome(fits: jaxem.Fit) -> dict[str, Any]:
    """Statuses, best log-likelihood and mean E-steps per lane of finished fits."""
    values = np.asarray(fits.log_likelihood)[fits.sound]
    return {
        "statuses": fits.status_counts(),
        "best_log_likelihood": float(values.max()) if values.size else None,
        "iterations": float(np.mean(np.asarray(fits.n_iter) + 1)),
    }


@dataclass(frozen=True)
class Verdict:
    """A figure beside its goal; without one, just the figure."""

    what: str
    value: float | None  # None: it was not finite when it was written
    relation: str = ""  # "<=" or ">="
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal or a value."""
        if self.goal is None or self.value is None:
            return None
        return self.value <= self.goal if self.relation == "<=" else self.value >= self.goal

    def __str__(self) -> str:
        text = f"{self.what}: {math.nan if self.value is None else self.value:.4g}"
        if self.goal is None:
            return text
        return f"{text} (goal {self.relation} {self.goal:g}: {'met' if self.met else 'MISSED'})"


@dataclass(frozen=True)
class Part:
    """One part of a question: how its rows are measured, what follows from them, its figure.

    `run` is told whether sizes are to be small, and yields rows as they are measured; none where
    this machine has nothing to measure.
    """

    run: Callable[[bool], Iterable[dict[str, Any]]]
    verdicts: Callable[[list[dict[str, Any]]], list[Verdict]]
    figure: Callable[[Any, list[dict[str, Any]]], None] | None = None


def write(
    path: Path, question: str, title: str, rows: list[dict], verdicts: list[Verdict], quick: bool
) -> None:
    """One JSON file per question."""
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "question": question,
        "title": title,
        "quick": quick,
        "verdicts": [asdict(v) | {"met": v.met} for v in verdicts],
        "rows": rows,
    }
    path.write_text(json.dumps(_plain(record), indent=1, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    """JSON's own types; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.12g}") if math.isfinite(value) else None
    return value


def stamp(one: dict[str, Any]) -> str:
    """Where, with what and when a row was measured."""
    versions = one["versions"]
    packages = f"jaxem {versions['jaxem']}, jax {versions['jax']}"
    return f"{one['hardware']}; {packages}; {one['date'][:10]}"


def show_head() -> None:
    """What the columns of `show_row` are, for the terminal."""
    print(f"{'':<38}{'n':>8}{'d':>4}{'K':>4}{'lanes':>7}{'E-steps':>9}{'seconds':>11}{'ns/r':>10}")


def show_row(one: dict[str, Any]) -> None:
    """A row in a line."""
    cells = [one["n"], one["d"], one["k"], one["lanes"], one["iterations"]]
    cells += [one["seconds"], one["ns_per_responsibility"]]
    widths = (8, 4, 4, 7, 9, 11, 10)
    texts = ("" if c is None else f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells)
    line = "".join(f"{t:>{w}}" for t, w in zip(texts, widths, strict=True))
    print(f"{one['what'][:37]:<38}{line}", flush=True)
