"""Several processes as one: how they start, and how they exchange data.

Every process makes the same calls. Lanes are shared out by number and results are gathered, so
that every process ends with all results. Rows stay where they are; only sums travel. Exchanges use
the collectives of JAX's devices: NCCL on GPUs, gloo on CPUs.
"""

import inspect
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxem.core.types import PyTree

LOST = (
    "another process of this run has ended or cannot be reached, so this one stops too. Look at "
    "the other processes' output for the first error. Start all of them again; with checkpoint= "
    "they go on from where they stood."
)

#: Advice for a process that cannot join.
JOIN = (
    "Under SLURM (srun) and Open MPI (mpirun) no argument is needed; elsewhere every process "
    "gives coordinator_address='host0:1234' (a free port of the host of process 0, open to the "
    "others), num_processes= and its own process_id=, before anything else uses JAX."
)


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    lost_after: int = 10,
    **options: Any,
) -> tuple[int, int]:
    """Join the processes of a run; returns (number of this process, number of processes).

    `jax.distributed.initialize` (which reads SLURM's and Open MPI's environment, and takes
    `options`), with collectives between CPUs switched on and a dead process noticed after
    `lost_after` seconds instead of minutes. Call it before anything else uses JAX. RuntimeError,
    with advice, when the process cannot join.
    """
    if jax.config.jax_cpu_collectives_implementation in (None, "none"):  # type: ignore[attr-defined]
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    known = inspect.signature(jax.distributed.initialize).parameters
    for name in ("heartbeat_timeout_seconds", "shutdown_timeout_seconds"):
        if name in known:
            options.setdefault(name, lost_after)
    try:
        jax.distributed.initialize(coordinator_address, num_processes, process_id, **options)
    except (ValueError, RuntimeError) as error:
        raise RuntimeError(f"could not join the processes of a run ({error}). {JOIN}") from error
    return jax.process_index(), jax.process_count()


def exchange(own: bytes) -> list[bytes]:
    """The bytes of every process, in order of processes. RuntimeError when one has ended."""
    if jax.process_count() == 1:
        return [own]
    try:
        lengths = _stacked(np.array([len(own)], np.int32))[:, 0]
        # Powers of two, so that few programs are compiled.
        padded = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)
        padded[: len(own)] = np.frombuffer(own, np.uint8)
        return [
            row[:length].tobytes() for row, length in zip(_stacked(padded), lengths, strict=True)
        ]
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        raise RuntimeError(f"{LOST} ({first_line(error)})") from error


def is_loss(error: Exception) -> bool:
    """Whether an error comes from a collective that lost another process."""
    words = ("gloo", "nccl", "connection", "unavailable", "heartbeat", "coordination")
    return any(word in str(error).lower() for word in words)


def _stacked(own: np.ndarray) -> np.ndarray:
    return np.asarray(multihost_utils.process_allgather(own))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def total(value: np.ndarray) -> np.ndarray:
    """The sum over the processes of an array that has one shape in all of them, in float64."""
    own = np.asarray(value, np.float64)
    parts = [np.frombuffer(part).reshape(own.shape) for part in exchange(own.tobytes())]
    return np.sum(parts, axis=0)


def agree(what: str, value: str) -> None:
    """ValueError, naming processes and values, unless `value` is the same in all of them."""
    said = [part.decode() for part in exchange(value.encode())]
    other = next((i for i, one in enumerate(said) if one != said[0]), None)
    if other is not None:
        raise ValueError(
            f"{what} differs between processes: {said[0]} in process 0, {said[other]} in process "
            f"{other}. Every process has to make the same call."
        )


def join(count: int, own: PyTree) -> PyTree:
    """A tree with leading axes of rows 0..count−1, from all processes: process p of P holds the
    rows whose number is p modulo P."""
    processes = jax.process_count()
    leaves, structure = jax.tree.flatten(own)
    leaves = [np.asarray(leaf) for leaf in leaves]
    out = [np.empty((count, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
    for process, part in enumerate(exchange(b"".join(leaf.tobytes() for leaf in leaves))):
        rows, at = len(range(process, count, processes)), 0
        for kept in out:
            size = rows * int(np.prod(kept.shape[1:])) * kept.itemsize
            flat = np.frombuffer(part[at : at + size], kept.dtype)
            kept[process::processes] = flat.reshape(rows, *kept.shape[1:])
            at += size
    return jax.tree.unflatten(structure, out)
