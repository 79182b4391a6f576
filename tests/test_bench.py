"""The benchmarks run: two cheap ones at small sizes; committed answers of all are read."""

import itertools
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import bench
from bench import search
from bench.__main__ import RESULTS, main
from bench.devices import crossover
from bench.harness.isolated import Isolated
from bench.harness.rows import FIELDS, Part
from bench.harness.rows import row as new_row
from bench.harness.runner import parts_of, verdicts_of
from bench.harness.timing import Timing, interleaved, paired_ratio


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Answers of a question and of a part of one, as written."""
    out = tmp_path_factory.mktemp("bench")
    for question in ("waste", "step.growth"):
        assert main([question, "--quick", "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("question", ["waste", "step"])
def test_rows_carry_what_was_promised(results, question):
    record = json.loads((results / f"{question}.json").read_text())
    assert record["quick"] and record["rows"] and record["verdicts"]
    for row in record["rows"]:
        assert set(FIELDS) <= set(row)
        for field in ("what", "n", "d", "k", "lanes", "iterations", "statuses", "dtype", "date"):
            assert row[field], field
        assert row["part"] in ("waste", "growth")
        assert row["hardware"] and {"jaxem", "jax", "numpy"} <= set(row["versions"])
        assert sum(row["statuses"].values()) == row["lanes"]
    timed = [row for row in record["rows"] if row["seconds"]]
    assert timed
    for row in timed:
        assert row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
        assert row["ns_per_responsibility"] > 0 and row["compile_seconds"] is not None


@pytest.mark.parametrize("figure", ["waste", "growth"])
def test_the_figure_is_drawn_from_the_rows(results, figure):
    pytest.importorskip("matplotlib")
    assert (results / f"{figure}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("question", bench.QUESTIONS)
def test_a_question_opens_with_its_question_and_prints_its_last_answer(question, capsys):
    text = (Path(bench.__file__).parent / f"{question}.py").read_text().split('"""')[1]
    assert text.partition("\n")[0].endswith("?")
    assert main([question, "--last"]) == 0
    printed = capsys.readouterr().out
    record = json.loads((RESULTS / f"{question}.json").read_text())
    assert {row["part"] for row in record["rows"]} == set(parts_of(question))
    assert record["rows"] and all(verdict["what"] in printed for verdict in record["verdicts"])


@pytest.mark.parametrize("question", bench.QUESTIONS)
def test_committed_verdicts_and_figures_follow_from_committed_rows(question, tmp_path):
    pytest.importorskip("matplotlib")
    path = Path(shutil.copy(RESULTS / f"{question}.json", tmp_path))
    record = json.loads(path.read_text())
    found = verdicts_of(question, record["rows"])
    assert [v.what for v in found] == [v["what"] for v in record["verdicts"]]
    for verdict, kept in zip(found, record["verdicts"], strict=True):
        # Rows are kept to ten digits, of likelihoods in the thousands.
        assert verdict.value == pytest.approx(kept["value"], rel=1e-4, abs=1e-4)
        assert verdict.goal == kept["goal"]
    main([question, "--redraw", "--out", str(tmp_path)])
    drawn = {part for part, one in parts_of(question).items() if one.figure}
    assert {path.stem for path in tmp_path.glob("*.png")} == drawn
    assert {path.name for path in RESULTS.glob("*.png")} >= {f"{part}.png" for part in drawn}


def test_a_part_asked_alone_leaves_the_rows_of_the_others(tmp_path, monkeypatch):
    for part in ("step", "growth"):
        made = Part(lambda _, part=part: [new_row(f"of {part}", (1, 1, 1, 1))], lambda rows: [])
        monkeypatch.setitem(parts_of("step"), part, made)
    for asked in ("step.growth", "step.step", "step.growth"):
        main([asked, "--out", str(tmp_path)])
    record = json.loads((tmp_path / "step.json").read_text())
    found = sorted((one["part"], one["what"]) for one in record["rows"])
    assert found == [("growth", "of growth"), ("step", "of step")]


def test_the_crossover_of_two_devices_lies_between_the_sizes_it_was_seen_at():
    def few(platform, n, seconds):
        return dict(kind="few", platform=platform, n=n, seconds=seconds)

    rows = [few("cpu", n, n * 1e-6) for n in (10, 100, 1000)]
    rows += [few("cuda", 10, 1e-3), few("cuda", 100, 1e-3), few("cuda", 1000, 1e-4)]
    # Behind by ln 10 at 100, ahead by ln 10 at 1000: half way in logarithms.
    assert crossover(rows, "cuda") == pytest.approx(100 * 10**0.5)
    assert crossover(rows[:5], "cuda") is None


def test_variants_are_timed_in_turn_and_failures_left_out():
    order = []
    variants = {
        "a": lambda: order.append("a") or 2.0,
        "b": lambda: order.append("b") or 1.0,
        "fails": lambda: order.append("fails") or float("nan"),
    }
    times = interleaved(variants, seconds=0.0, least=2)
    assert order == ["a", "b", "fails", "a", "b", "a", "b"]
    assert times == {"a": Timing((2.0, 2.0)), "b": Timing((1.0, 1.0))}
    assert paired_ratio(times["a"], times["b"]) == 2


def test_an_unknown_question_is_refused(capsys):
    for asked in ("nonsense", "waste.nonsense"):
        with pytest.raises(SystemExit):
            main([asked])
        assert "waste" in capsys.readouterr().err


def fails():
    raise RuntimeError("as asked")


def sleeps(seconds=60.0):
    import time

    return lambda: time.sleep(seconds) or 0.0


def test_an_isolated_variant_may_fail_or_stall():
    with Isolated(fails, limit=60.0) as broken, Isolated(sleeps, limit=0.2) as slow:
        assert broken() != broken() and "as asked" in broken.trouble
        assert slow() != slow() and "no result within" in slow.trouble


def test_an_isolated_process_that_has_ended_says_why():
    with Isolated(sleeps, 0.0, limit=60.0) as one:
        assert one() == 0.0
        one.then(fails)
        one._process.join(60)  # nobody reads what is asked next
        one.then(sleeps)
        assert one() != one() and "as asked" in one.trouble
        with pytest.raises(RuntimeError, match="as asked"):
            one.then(sleeps)


def test_what_fewer_starts_lose():
    """The exact expectation over all draws, by enumeration; what is not sound is never best."""
    value, sound = np.array([3.0, 9.0, 8.0, 11.0]), np.array([True, True, True, False])
    fits = SimpleNamespace(objective=value, sound=sound)
    for few in (1, 2, 3, 4):
        draws = [list(draw) for draw in itertools.combinations(range(4), few)]
        best = [max(value[i] for i in draw if sound[i]) for draw in draws if sound[draw].any()]
        np.testing.assert_allclose(search._loss_of_few(fits, few), 9 - np.mean(best), atol=1e-12)
