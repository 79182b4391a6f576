"""A line on a terminal, silence elsewhere."""

import io
import sys

import jax
import numpy as np
import pytest
from problems import clouds, force_plan, mixture

import jaxem
from jaxem.batch import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def fit(**options):
    return jaxem.fit(mixture(), clouds(), key=jax.random.key(1), n_starts=40, **options)


@pytest.fixture
def often(monkeypatch):
    """The line is renewed at every look, and looks are frequent."""
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    force_plan(monkeypatch)


def watch(monkeypatch, stream, **options):
    """What a fit writes to this stderr."""
    monkeypatch.setattr(sys, "stderr", stream)
    fit(**options)
    return stream.getvalue()


def test_a_terminal_sees_fits_done_best_so_far_and_time_left(often, monkeypatch, capsys):
    text = watch(monkeypatch, Terminal())
    lines = [line.removesuffix("\x1b[K") for line in text.split("\r") if line]
    *shown, last = lines
    assert last == ""  # the line is removed at the end
    assert len(shown) > 2
    assert all(line.startswith("jaxem: ") and "/40 fits ended, " in line for line in shown)
    done = [int(line.split()[1].split("/")[0]) for line in shown]
    assert done == sorted(done) and done[-1] > done[0]
    assert "best mean objective -" in shown[-1]
    assert "s left" in shown[-1]
    assert "\n" not in text
    assert capsys.readouterr().out == ""


def test_silence_where_nobody_watches(often, monkeypatch):
    assert watch(monkeypatch, io.StringIO()) == ""
    assert watch(monkeypatch, Terminal(), progress=False) == ""
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    fit()


def test_it_shows_a_line_where_asked_to(often, monkeypatch):
    assert "/40 fits ended" in watch(monkeypatch, io.StringIO(), progress=True)


def test_short_work_shows_nothing(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 3600.0)
    assert watch(monkeypatch, Terminal()).replace("\r", "").replace("\x1b[K", "") == ""


def test_watching_changes_no_bit(often, monkeypatch):
    quiet = fit(progress=False)
    monkeypatch.setattr(sys, "stderr", Terminal())
    for one, other in zip(jax.tree.leaves(fit()), jax.tree.leaves(quiet), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_line_is_removed_when_the_work_fails(often, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    real, calls = progress.line, []

    def line(*args):
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("broken pipe")
        return real(*args)

    monkeypatch.setattr(progress, "line", line)
    with pytest.raises(RuntimeError, match="broken pipe"):
        fit()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_many_data_sets_and_sweeps_show_it_too(often, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    jaxem.fit_many(mixture(), [clouds()] * 2, key=jax.random.key(0), n_starts=8)
    assert "/16 fits ended" in stream.getvalue()
    jaxem.sweep(clouds(), [3], key=jax.random.key(0), n_starts=7)
    assert "/7 fits ended" in stream.getvalue()
