"""Hostile settings: float64, several devices, no silent broadcasting between ranks.

`JAXEM_TEST_X64=0` leaves JAX in its default float32 mode (see test_without_x64.py).
"""

import functools
import os
import signal

import hypothesis
import jax
import jaxlib
import pytest

# Most of the time of these tests is the compiler's; child processes inherit the flags. XLA ends a
# process that names a flag it does not know, so the second is for versions that are known to.
_FLAGS = ["--xla_backend_optimization_level=0"]
if jaxlib.version.__version_info__ < (0, 11):
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_FLAGS))

pytest.register_assert_rewrite("helpers", "problems")

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", os.environ.get("JAXEM_TEST_X64", "1") == "1")
jax.config.update("jax_numpy_rank_promotion", "raise")

hypothesis.settings.register_profile(
    "jaxem", deadline=None, derandomize=True, database=None, max_examples=40
)
hypothesis.settings.load_profile("jaxem")


@pytest.fixture
def ctrl_c():
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background of a shell, which
    has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield functools.partial(os.kill, os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_winners(monkeypatch):
    """No start runs on because it may be the best: each is what it is whatever the number."""
    import numpy as np

    from jaxem.search import winners

    monkeypatch.setattr(winners, "contenders", lambda store, fits: np.zeros(0, int))


def pytest_configure(config):
    """Keep compiled programs between runs, one folder per worker: JAX's writes are not atomic."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    if hasattr(config, "cache"):
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir(f"jax-{worker}")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _group(nodeid: str) -> str:
    """Tests that share compiled programs: those of a case of the laws, else those of a file."""
    from cases import CASES  # it computes: only after the settings above

    file, _, rest = nodeid.partition("::")
    name = rest.partition("[")[2].removesuffix("]")
    known = [case for case in CASES if name == case or name.startswith(f"{case}-")]
    return max(known, key=len, default=file)


def pytest_collection_modifyitems(items):
    """Tests of a group follow one another in one process too: what they share is still compiled."""
    first: dict[str, int] = {}
    for item in items:
        first.setdefault(_group(item.nodeid), len(first))
    items.sort(key=lambda item: first[_group(item.nodeid)])


def pytest_xdist_make_scheduler(config, log):
    """A group runs in one worker. (xdist's own groups rewrite the names of tests, which pytest 9.2
    ignores; this asks for nothing but the names.)"""
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return Grouped(config, log)


#: Tests that are scikit-learn's own, as `counted` of tests/sklearn/test_suite.py tells them apart.
COUNTED = {"test module": "tests of its test module", "check": "estimator checks"}


def pytest_terminal_summary(terminalreporter):
    """How many of scikit-learn's own tests and checks of its estimator ours has passed."""
    found = {kind: [0, 0] for kind in COUNTED}
    for outcome, good in (("passed", 1), ("failed", 0), ("error", 0), ("xfailed", 0)):
        for report in terminalreporter.stats.get(outcome, []):
            kind = dict(getattr(report, "user_properties", ())).get("scikit-learn")
            if kind is not None:
                found[kind][0] += good
                found[kind][1] += 1
    said = [f"{n} of {of} {COUNTED[kind]}" for kind, (n, of) in found.items() if of]
    if said:
        terminalreporter.write_line(f"scikit-learn's own, on jaxem.sklearn: {', '.join(said)} pass")


_groups: list[str] = []


def pytest_runtest_setup(item):
    """Forget compiled programs now and then, or a worker grows to several gigabytes."""
    group = _group(item.nodeid)
    if group not in _groups[-1:]:
        _groups.append(group)
        if len(_groups) % 6 == 0:
            jax.clear_caches()
