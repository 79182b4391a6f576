"""What may go wrong while rows are read: it is named, and what was fitted so far is kept."""

import os

import numpy as np
import pytest
from helpers import assert_same_bits
from problems import clouds, mixture

import jaxem
from jaxem.stream import loop

X = clouds(2000, seed=3, gap=2.5)
ASKED = dict(key=0, n_starts=4, memory_limit=64_000)


def halves():
    return [X[:1000], X[1000:]]


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


def spoilt(row, column, value):
    x = X.copy()
    x[row, column] = value
    return x


def test_a_cell_that_is_not_finite_is_named_with_its_file_block_and_row(file, monkeypatch):
    np.save(file, spoilt(1371, 1, np.nan))
    monkeypatch.setattr("jaxem.stream.survey.ROWS", 100)
    with pytest.raises(ValueError, match=r"x.npy, block 13: .* first in row 1371, column 1 \(nan"):
        jaxem.fit(mixture(), file, **ASKED)


def test_a_value_outside_the_support_is_named(file):
    np.save(file, np.where(X > 3, -1, 2))
    with pytest.raises(ValueError, match=r"x\.npy, block 0: "):
        jaxem.fit(jaxem.Mixture(jaxem.Poisson(), n_components=2), file, **ASKED)


@pytest.mark.parametrize(
    ("give", "message"),
    [
        (lambda: [], "no rows"),
        (lambda: [np.zeros((0, 2))], "no rows"),
        (lambda: [jaxem.Data(X, np.zeros(2000))], "zero for every row"),
        (lambda: [X[:2]], "n_components must be at most the number of rows"),
        (lambda: [X, X[:, :1]], "block 1, rows 2000 to 3999: holds"),
    ],
)
def test_rows_that_cannot_be_fitted(give, message):
    with pytest.raises(ValueError, match=message):
        jaxem.fit(mixture(), give, **ASKED)


@pytest.mark.parametrize(
    "argument",
    [{"sample_weight": np.ones(2000)}, {"labels": np.zeros(2000)}, {"trace": True},
     {"devices": "all"}, {"pad_to": 8}],
    ids=str,
)  # fmt: skip
def test_arguments_that_need_all_rows_at_once(argument):
    with pytest.raises(ValueError, match=f"{next(iter(argument))}: not for rows that are read in"):
        jaxem.fit(mixture(), halves, **ASKED, **argument)


def test_a_start_for_every_row_is_refused():
    with pytest.raises(ValueError, match="init must be a name, a callable or parameters"):
        jaxem.fit(mixture(), halves, init=np.zeros(2000, int), **ASKED)


def test_a_generator_that_is_exhausted_is_named():
    once, start = iter(halves()), jaxem.fit(mixture(), X, key=0, n_starts=1)[0].params
    with pytest.raises(ValueError, match="gave 0 rows in this pass and 2000 in the first"):
        jaxem.fit(mixture(), lambda: once, init=start, **ASKED)


def broken_in(passes, act, monkeypatch):
    """Let `act` happen before that many more passes have been made."""
    real, done = loop._iterate, []

    def iterate(stream, state):
        if len(done) == passes:
            act()
        done.append(1)
        real(stream, state)

    monkeypatch.setattr(loop, "_iterate", iterate)


def test_a_file_that_changes_between_passes_keeps_the_checkpoint(file, tmp_path, monkeypatch):
    whole = jaxem.fit(mixture(), file, **ASKED)
    saved, path = os.stat(file), tmp_path / "kept"

    def change():
        os.utime(file, ns=(saved.st_atime_ns, saved.st_mtime_ns + 10**9))

    with monkeypatch.context() as patch:
        broken_in(3, change, patch)
        with pytest.raises(ValueError, match=r"x\.npy: gave 2000 rows in this pass and 2000"):
            jaxem.fit(mixture(), file, **ASKED, checkpoint=path)
    os.utime(file, ns=(saved.st_atime_ns, saved.st_mtime_ns))
    with monkeypatch.context() as patch:
        patch.setattr("jaxem.api.rows_in_blocks._from_sample", None)  # is not called again
        assert_same_bits(jaxem.fit(mixture(), file, **ASKED, checkpoint=path), whole)


@pytest.mark.parametrize("passes", [1, 4, 9])
def test_a_killed_call_goes_on_to_the_same_bits(file, tmp_path, monkeypatch, passes):
    whole, path = jaxem.fit(mixture(), file, **ASKED), tmp_path / "kept"

    def die():
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        broken_in(passes, die, patch)
        with pytest.raises(RuntimeError, match="killed"):
            jaxem.fit(mixture(), file, **ASKED, checkpoint=path)
    assert_same_bits(jaxem.fit(mixture(), file, **ASKED, checkpoint=path), whole)


def test_a_checkpoint_of_other_rows_is_refused(file, tmp_path):
    jaxem.fit(mixture(), file, **ASKED, checkpoint=tmp_path / "kept")
    np.save(file, X + 1)
    with pytest.raises(ValueError, match="belongs to another problem"):
        jaxem.fit(mixture(), file, **ASKED, checkpoint=tmp_path / "kept")


def interrupt():
    raise KeyboardInterrupt


def test_ctrl_c_gives_the_best_so_far_and_says_so(file, monkeypatch):
    broken_in(4, interrupt, monkeypatch)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        fits = jaxem.fit(mixture(), file, **ASKED, race=False)
    assert fits.report.interrupted and "RUNNING" in fits.status_counts()
    for fit in fits:
        total = np.sum(np.asarray(mixture().log_prob(fit.params, X), float))
        np.testing.assert_allclose(fit.log_likelihood, total, rtol=1e-9)


def test_ctrl_c_before_all_rows_were_read_once_is_an_interrupt(file, monkeypatch):
    broken_in(0, interrupt, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        jaxem.fit(mixture(), file, **ASKED)
