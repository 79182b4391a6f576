"""What a figure was measured on: hardware, versions, load."""

import functools
import os
import platform
from importlib import metadata
from pathlib import Path

import jax

PACKAGES = ("jaxem", "jax", "jaxlib", "numpy", "scipy", "scikit-learn", "joblib", "gmmx")


@functools.cache
def hardware() -> str:
    """Processor, cores, memory and the accelerators JAX sees, on one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [_processor(), f"{cores()} cores", f"{memory:.0f} GiB"]
    kinds = [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    parts += [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    return ", ".join(parts)


@functools.cache
def versions() -> dict[str, str]:
    """Python's and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """Mean number of processes that wanted a core in the last minute."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
