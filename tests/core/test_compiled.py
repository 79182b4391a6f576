"""The engine's programs get the options meant for them, and an XLA that knows none still works."""

import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest

from jaxem.core import compiled
from jaxem.core.trees import pytree, static


@pytree
class Grid:
    """As much of a grid as `program` asks for."""

    x: object
    shared: bool = static()
    brief: bool = static(default=False)


@pytest.fixture(autouse=True)
def afresh():
    """Options are remembered; these tests change them."""
    compiled._options.cache_clear()
    yield
    compiled._options.cache_clear()


@pytest.mark.implementation
def test_options_that_xla_does_not_know_are_left_out(monkeypatch):
    unknown = {"xla_no_such_option": True}
    monkeypatch.setattr(compiled, "SHARED", {**unknown, **compiled.WIDE})
    monkeypatch.setattr(compiled, "WIDE", unknown)
    assert compiled._options("cpu", True) == {"xla_cpu_prefer_vector_width": 512}
    assert compiled._options("cpu", False) is None
    double = compiled.program({})(lambda grid: 2 * grid.x)
    for shared in (True, False):
        np.testing.assert_array_equal(double(Grid(jnp.arange(3.0), shared)), [0, 2, 4])


@pytest.mark.implementation
def test_separate_data_keep_the_newer_generator_and_other_platforms_their_defaults():
    asked = compiled.SHARED if jaxlib.version.__version_info__ < (0, 11) else compiled.WIDE
    assert compiled._options("cpu", True) == asked
    assert "xla_cpu_use_fusion_emitters" not in compiled._options("cpu", False)
    assert compiled._options("gpu", True) is None


@pytest.mark.implementation
def test_a_program_asks_its_grid(monkeypatch):
    asked = []

    def options(*arguments):
        asked.append(arguments)

    monkeypatch.setattr(compiled, "_options", options)
    monkeypatch.setenv("XLA_FLAGS", "")
    options.cache_clear = lambda: None
    add = compiled.program({"level": 0})(lambda grid, more: grid.x + more)
    for shared, brief in ((True, False), (False, False), (True, False), (True, True)):
        assert add(Grid(jnp.float64(1), shared, brief), 2.0) == 3
    few = (("level", 0),)
    assert asked == [("cpu", True, ()), ("cpu", False, ()), ("cpu", True, few)]  # once each
