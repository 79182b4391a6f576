"""Hostile settings: float64, several devices, no silent broadcasting between ranks.

`JAXEM_TEST_X64=0` leaves JAX in its default float32 mode (see test_without_x64.py).
"""

import os

# Most of the time of these tests is LLVM's; child processes inherit the flag.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

import hypothesis
import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", os.environ.get("JAXEM_TEST_X64", "1") == "1")
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile(
    "jaxem", deadline=None, derandomize=True, database=None, max_examples=40
)
hypothesis.settings.load_profile("jaxem")


def pytest_configure(config):
    """Keep compiled programs between runs, one folder per worker: JAX's writes are not atomic."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    if hasattr(config, "cache"):
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir(f"jax-{worker}")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share compiled programs run in one worker: a case of the laws, else a file."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        case = callspec.params.get("case") if callspec else None
        item.add_marker(pytest.mark.xdist_group(case or item.path.stem))


_groups: list[str] = []


def pytest_runtest_setup(item):
    """Forget compiled programs now and then, or a worker grows to several gigabytes."""
    group = item.get_closest_marker("xdist_group").args[0]
    if group not in _groups[-1:]:
        _groups.append(group)
        if len(_groups) % 6 == 0:
            jax.clear_caches()
