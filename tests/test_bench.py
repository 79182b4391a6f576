"""The benchmarks run: two cheap questions at small sizes, rows complete, figures drawn."""

import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import bench
from bench import race
from bench.__main__ import main
from bench.devices import crossover
from bench.harness import gpu_code
from bench.harness.isolated import Isolated
from bench.harness.rows import FIELDS
from bench.harness.timing import Timing, clocked, interleaved, paired_ratio, peak_memory
from bench.kernel import lowered_kernel


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Answers of two questions, as written."""
    out = tmp_path_factory.mktemp("bench")
    for question in ("waste", "growth"):
        assert main([question, "--quick", "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("question", ["waste", "growth"])
def test_rows_carry_what_was_promised(results, question):
    record = json.loads((results / f"{question}.json").read_text())
    assert record["quick"] and record["rows"] and record["verdicts"]
    for row in record["rows"]:
        assert set(FIELDS) <= set(row)
        for field in ("what", "n", "d", "k", "lanes", "iterations", "statuses", "dtype"):
            assert row[field], field
        assert row["hardware"] and {"jaxem", "jax", "numpy"} <= set(row["versions"])
        assert sum(row["statuses"].values()) == row["lanes"]
    timed = [row for row in record["rows"] if row["seconds"]]
    assert timed
    for row in timed:
        assert row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
        assert row["ns_per_responsibility"] > 0 and row["compile_seconds"] is not None


@pytest.mark.parametrize("question", ["waste", "growth"])
def test_the_figure_is_drawn_from_the_rows(results, question):
    pytest.importorskip("matplotlib")
    assert (results / f"{question}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("question", bench.QUESTIONS)
def test_every_question_opens_with_its_question_and_its_last_answer(question):
    text = (Path(bench.__file__).parent / f"{question}.py").read_text().split('"""')[1]
    assert text.partition("\n")[0].endswith("?")
    assert "\nLast answer:" in text


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


def test_peak_memory_sees_an_array():
    with peak_memory() as peak:
        clocked(lambda: jax.numpy.ones(1 << 20).block_until_ready())()
    assert peak.bytes and peak.bytes > 1 << 22


def test_an_unknown_question_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "step" in capsys.readouterr().err


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


@pytest.mark.implementation
def test_the_compiled_kernel_is_read_without_a_gpu():
    pytest.importorskip("jaxlib.triton")
    kernel, tile = lowered_kernel(500, 2, 3, 8, "float32")
    each = tile.lanes * tile.rows * tile.turns  # rows of lanes in a turn of the loop
    columns = each * tile.components
    counts = kernel.counts
    assert counts["exp"] == columns and counts["log"] == each  # one softmax, nothing twice
    # Five for the logits and three for x xᵀ, and the likelihood's sum: φ is never made.
    assert counts["fma"] == (5 + 3) * columns + each
    # r x, the base of the exponential, the softmax; w / s and the base of the logarithm.
    assert counts["mul"] == (2 + 1 + 1) * columns + 2 * each
    assert counts["load"] == (2 + 1) * tile.rows * tile.turns
    assert "store" not in counts  # no responsibility is written
    assert kernel.programs == 8 // tile.lanes


LISTING = """
.L_x_1:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
        /*0010*/              @!P0 BRA `(.L_x_2) ;
.L_x_0:
        /*0020*/                   LDG.E R2, [R4.64] ;
        /*0030*/                   FFMA R5, R2, R3, R5 ;
        /*0040*/                   FFMA.FTZ R6, R2, R3, R6 ;
        /*0050*/                   MUFU.EX2 R7, R6 ;
        /*0060*/               @P0 BRA `(.L_x_0) ;
        /*0070*/                   EXIT ;
.L_x_2:
        /*0080*/                   BRA `(.L_x_2);
"""


def test_instructions_are_those_of_the_loop():
    want = {"all": 5, "global": 1, "fma": 2, "special": 1, "other": 1}
    assert gpu_code.listing(LISTING) == want


def test_what_fewer_starts_lose():
    """The exact expectation over all draws, by enumeration; what is not sound is never best."""
    value, sound = np.array([3.0, 9.0, 8.0, 11.0]), np.array([True, True, True, False])
    fits = SimpleNamespace(objective=value, sound=sound)
    for few in (1, 2, 3, 4):
        draws = [list(draw) for draw in itertools.combinations(range(4), few)]
        best = [max(value[i] for i in draw if sound[i]) for draw in draws if sound[draw].any()]
        np.testing.assert_allclose(race._loss_of_few(fits, few), 9 - np.mean(best), atol=1e-12)
