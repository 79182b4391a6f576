"""Sizes of a call: lanes per bucket and rows per block, from the problem and a memory limit."""

import os
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxem.core.model_protocol import Cost
from jaxem.core.types import Array

#: Without `memory_limit`, a call may use this share of the device's memory.
SHARE_OF_MEMORY = 0.25

#: Lanes of one data set that run together, at most: the logits of more do not fit in the cache.
TILE = 10

#: Bytes of the logits of one block, which stay in a CPU's cache between the two matrix products.
CACHE_BYTES = 1 << 22

#: Bytes for the responsibilities of lanes that are initialised together, on a CPU.
SEEDING_BYTES = 1 << 27

#: Columns (lanes × components) from which a CPU's matrix product runs at full speed; and from which
#: it runs at nine tenths of that.
COLUMNS_FULL_SPEED, COLUMNS_NINE_TENTHS = 512, 128

#: Threads on a CPU, at most, each with a bucket: the host's work for all buckets is sequential.
MAX_THREADS = 8

#: Lanes from which a second, smaller bucket size is compiled, for the last lanes of a call: in a
#: full bucket they would wait for the slowest lane.
LANES_WORTH_TWO_SIZES = 512

#: Responsibilities of a step on a CPU from which the time to dispatch it is negligible.
RESPONSIBILITIES_WORTH_A_DISPATCH = 1 << 19

#: Work of a call on a CPU, as starts × responsibilities × (features + SOFTMAX_COST), from which a
#: second bucket size is worth compiling; from 16 times that, a third, for the last lanes.
WORK_WORTH_TWO_PROGRAMS = 1 << 30

#: Cost of a responsibility beyond its two products, in the cost of one feature.
SOFTMAX_COST = 23

#: Responsibilities per step that fill an accelerator, or amortise a CPU's dispatch.
RESPONSIBILITIES_THAT_FILL = {"cpu": 1 << 21, "gpu": 1 << 28, "tpu": 1 << 27}


@dataclass(frozen=True)
class Plan:
    """Sizes chosen for a call."""

    bucket: int  # lanes on the device at once
    rows: int  # rows of a block
    at_once: int  # lanes that are initialised together
    smallest: int  # smallest bucket worth having
    stride: int  # iterations between two looks of the host: about a second of work
    threads: int = 1  # threads of the host, each with a bucket
    tile: int = 1  # lanes of one data set among many that run together


@dataclass(frozen=True)
class Shape:
    """The sizes of a problem, from which a plan follows."""

    rows: int  # of each data set, or of one device's part
    cost: Cost  # memory of an E-step per row
    starts: int  # lanes of each data set
    sets: int  # data sets
    itemsize: int
    shared: bool = True  # all lanes share the rows of one table
    chunks: int = 0  # partial sums of each lane that the fused kernel writes


def plan_batch(
    shape: Shape, limit: int | None = None, platform: str | None = None, devices: int = 1
) -> Plan:
    """Sizes for the lanes of a call. Where several `devices` of a platform (None: JAX's default)
    share the lanes, sizes are those of one device.

    `limit` (bytes) bounds the memory of blocks, lane states and, for separate data sets, the copies
    of their rows or weights. ValueError, which names the minimum, where one lane with one row per
    block does not fit.
    """
    n, k, width, itemsize = shape.rows, shape.cost.per_unit, shape.cost.features, shape.itemsize
    shared, starts, lanes = shape.shared, shape.starts, shape.starts * shape.sets
    kind = platform or jax.default_backend()
    limit = memory(kind, devices) if limit is None else limit
    lanes = -(-lanes // devices)
    full = RESPONSIBILITIES_THAT_FILL.get(kind, RESPONSIBILITIES_THAT_FILL["gpu"])
    # Parameters, statistics, an accelerator's memory; and partial sums.
    state = (16 + 4 * shape.chunks) * k * width * itemsize
    copies = 3 * n * (width + 1) * itemsize
    if shared:  # no rows are copied; of several data sets that share them, weights are
        copies = 0 if shape.sets == 1 else 2 * n * itemsize
    least = state + copies + (width + 4 * k) * itemsize
    tile = 1 if shared else -(-starts // -(-starts // TILE))
    if least > limit:
        raise ValueError(
            f"memory_limit of {limit} bytes is too small: one fit of this shape needs {least}."
        )
    if kind != "cpu":
        bucket, smallest = _on_accelerator(-(-full // (n * k)), lanes, n * k, full)
    elif shared:
        bucket, smallest = _shared_on_cpu(lanes, n, k, width)
    else:
        # Rows, features and logits of a bucket stay in cache from one iteration to the next.
        wish = _power_of_two(2 * CACHE_BYTES * tile // (n * (width + 3 * k * tile) * itemsize))
        wish = (
            wish // 2
            if tile == 1
            else min(wish, max(LANES_WORTH_TWO_SIZES, _power_of_two(lanes) // 8))
        )
        bucket = min(max(wish, 1), tile * _power_of_two(-(-lanes // tile)))
        smallest = bucket // 4 if lanes >= LANES_WORTH_TWO_SIZES else bucket
    threads = 1 if shared else _threads(kind, devices, -(-lanes // bucket))
    while bucket > 1 and threads * bucket * (state + copies) > limit // 2:
        bucket //= 2
    block = min(limit // 4, CACHE_BYTES if kind == "cpu" else limit // 4)
    per_row = threads * (width + 3 * bucket * k) * itemsize
    rows = max(1, min(n, max(block // (bucket * k * itemsize), 64), limit // 4 // per_row))
    seeding = min(limit // 4, SEEDING_BYTES if kind == "cpu" else limit // 4)
    at_once = max(1, min(bucket, seeding // (n * (5 * k + 4) * itemsize)))
    smallest = max(1, min(smallest, bucket))
    stride = max(1, min(64, (full << 9) // (bucket * n * k)))
    return Plan(bucket, rows, at_once, smallest, stride, threads, min(tile, bucket))


def _threads(kind: str, devices: int, buckets: int) -> int:
    """Threads for separate data sets, each with a bucket: one for each core of a CPU that is one
    device. XLA spreads large products over the cores by itself, but not many small ones."""
    if kind != "cpu" or devices > 1:
        return 1
    known = hasattr(os, "sched_getaffinity")  # not on macOS and Windows
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    return max(1, min(MAX_THREADS, cores, buckets))


def _on_accelerator(wish: int, lanes: int, size: int, full: int) -> tuple[int, int]:
    """The bucket that fills the device, and the smallest one that still takes long enough."""
    bucket = min(_power_of_two(wish), _power_of_two(lanes))
    return bucket, bucket // 16 if bucket * size > full // 64 else bucket


def _shared_on_cpu(lanes: int, n: int, k: int, width: int) -> tuple[int, int]:
    """The bucket, and the smallest one. Each size is a program, and compiling it takes as long as
    most fits. So a short call has one size, narrow enough that few lanes wait for the slowest."""
    wide, narrow = (
        _power_of_two(-(-COLUMNS_FULL_SPEED // k)),
        _power_of_two(-(-COLUMNS_NINE_TENTHS // k)),
    )
    work = lanes * n * k * (width + SOFTMAX_COST)
    if work > WORK_WORTH_TWO_PROGRAMS:
        bucket, smallest = wide, narrow if work <= 16 * WORK_WORTH_TWO_PROGRAMS else narrow // 4
    else:
        steps = _power_of_two(-(-RESPONSIBILITIES_WORTH_A_DISPATCH // (n * k)))
        # Of few rows, more columns than the product needs: the dispatch of a step counts.
        bucket = max(narrow, min(wide, steps, _power_of_two(lanes // 16)))
        bucket = max(bucket, min(steps, _power_of_two(lanes // 8)) if steps > wide else 0)
        smallest = bucket // 4 if LANES_WORTH_TWO_SIZES <= lanes < 16 * bucket else bucket
    return min(bucket, _power_of_two(lanes)), smallest


def memory(platform: str | None = None, devices: int = 1) -> int:
    """Bytes that a call may use on each device, a share of its memory. Devices of a CPU share one
    memory."""
    stats = jax.local_devices(backend=platform)[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(SHARE_OF_MEMORY * stats["bytes_limit"])
    return (
        int(SHARE_OF_MEMORY * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // devices
    )


def exhausted(error: Exception) -> bool:
    """Whether an error of JAX's runtime says that a device's memory is full."""
    return "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()


def too_small(x: Array, error: Exception) -> str:
    """The message for a device on which one fit, a few rows at a time, is too much."""
    device = next(iter(jnp.asarray(x).devices()))
    stats = device.memory_stats() or {}
    has = f"{stats['bytes_limit']:,} bytes" if "bytes_limit" in stats else "unknown memory"
    return (
        f"out of device memory with one fit at a time: x {x.dtype}{[*x.shape]} "
        f"takes {x.nbytes:,} bytes, its blocks and standardised copy twice as much again, and "
        f"{device} has {has} ({str(error).splitlines()[0]}). Free that device of other work, use "
        "float32, spread the rows over several devices (jaxem.shard_rows), or give fewer rows."
    )


def _power_of_two(value: int) -> int:
    return 1 << max(0, int(value) - 1).bit_length()
