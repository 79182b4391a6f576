"""Every public name has an example in its docstring, and the examples are run."""

import doctest
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem
from jaxem import datasets

#: What examples may use without importing it.
NAMES = dict(jax=jax, jnp=jnp, np=np, jaxem=jaxem, datasets=datasets)

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _public(module):
    """Names that the module hands out, functions and classes."""
    return {
        name: value
        for name, value in vars(module).items()
        if name[0] != "_" and (inspect.isfunction(value) or inspect.isclass(value))
    }


def _run(name, value):
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(value, name, globs=dict(NAMES))
    assert test.examples, f"{name} has no example in its docstring"
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Files and caches of examples go to a folder that is thrown away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    yield
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize("name", _public(jaxem))
def test_jaxem(name):
    if name in ("Fit", "Sweep"):  # their examples draw
        pytest.importorskip("matplotlib").use("Agg")
    _run(f"jaxem.{name}", getattr(jaxem, name))


def test_pictures():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    from jaxem import plot

    NAMES["plot"] = plot
    names = _public(plot)
    assert len(names) > 15
    for name, value in names.items():
        _run(f"jaxem.plot.{name}", value)
    pyplot.close("all")


def test_estimators():
    pytest.importorskip("sklearn")
    import jaxem.sklearn

    names = _public(jaxem.sklearn)
    assert "GaussianMixture" in names
    for name, value in names.items():
        _run(f"jaxem.sklearn.{name}", value)
