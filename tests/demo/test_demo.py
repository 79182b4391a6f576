"""The demo tells the textbook's numbers and draws its pictures."""

import numpy as np
import pytest

from jaxem.demo import EXAMPLES, gaussians_1d, gaussians_2d


@pytest.fixture(scope="module")
def told():
    """What every example says, and what it returns."""
    lines = {name: [] for name in EXAMPLES}
    results = {name: example.run(lines[name].append) for name, example in EXAMPLES.items()}
    return {name: "\n".join(text) for name, text in lines.items()}, results


def test_the_coins_say_the_printed_numbers(told):
    text = told[0]["coins"]
    _, known, hard, soft = text.split("\n\n")
    for part in (known, hard):
        assert "A: 24/30 = 0.80" in part and "B: 9/20 = 0.45" in part
    assert "21.3/8.6" in soft and "11.7/8.4" in soft
    assert "iteration  1   A 0.71   B 0.58" in soft
    assert soft.splitlines()[-1].startswith("iteration") and "A 0.80   B 0.52" in soft[-60:]


def test_the_three_coins_say_the_printed_numbers(told):
    first, second = told[0]["three-coins"].split("\n\n")[1:]
    assert "π 0.5000   p 0.6000   q 0.6000" in first.splitlines()[-1]
    assert "π 0.4064   p 0.5368   q 0.6432" in second.splitlines()[-1]


def test_the_line_shows_every_iteration_and_never_falls(told):
    x, fits = told[1]["gaussians-1d"]
    assert x.shape == (1000, 1)
    text = told[0]["gaussians-1d"]
    _, table = text.split("\n\n")
    rows = [line.split() for line in table.splitlines()[1:-1]]
    assert [int(row[0]) for row in rows] == list(range(len(fits)))
    values = [float(row[-1]) for row in rows]
    assert (np.diff(values) >= 0).all() and values[-1] > values[0] + 100


def test_the_plane_ends_near_the_truth(told):
    x, fits = told[1]["gaussians-2d"]
    assert x.shape == (500, 2)
    means = np.asarray(fits[-1].params.means)
    for mean in gaussians_2d.MEANS:
        assert np.linalg.norm(means - mean, axis=1).min() < 2.5
    assert "less than 1e-3" in told[0]["gaussians-2d"]


def test_samples_are_the_same_every_time():
    np.testing.assert_array_equal(gaussians_1d.sample(20), gaussians_1d.sample(20))


def test_every_example_draws(told, tmp_path):
    pytest.importorskip("matplotlib")
    from jaxem import plot

    names = set()
    for name, example in EXAMPLES.items():
        for file_name, figure in example.draw(told[1][name]).items():
            plot.save(figure, tmp_path / file_name)
            names.add(file_name)
            for axis in figure.axes:
                assert axis.get_xlabel() and axis.get_ylabel() and axis.get_title()
    assert names >= {"coins.png", "three_coins.png", "gaussians_1d.png", "gaussians_2d.png"}
    assert all((tmp_path / name).stat().st_size > 10_000 for name in names)
