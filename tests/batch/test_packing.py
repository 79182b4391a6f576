"""Tiles: every lane once, beside its own kind; what runs together does not change what is found."""

import jax
import numpy as np
import pytest
from helpers import assert_same_ends
from hypothesis import given
from hypothesis import strategies as st
from problems import clouds, force_plan, mixture

import jaxem
from jaxem import Status
from jaxem.batch import lanes, packing, planning
from jaxem.batch.state import unfinished

KEY = jax.random.key(3)
SETS = [clouds(n, seed) for seed, n in enumerate((90, 120, 101, 77, 130, 95, 110))]


def many(**options):
    return jaxem.fit_many(mixture(), SETS, key=KEY, **{"n_starts": 5, "tol": 1e-7, **options})


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.integers(1, 7),
    st.data(),
)
def test_tiles_hold_every_chosen_lane_once_and_one_data_set_each(groups, width, data):
    groups = np.sort(groups)
    chosen = data.draw(st.sets(st.integers(0, len(groups) - 1)))
    chosen = np.array(sorted(chosen), int)
    tiles = packing.tiles_of(groups, chosen, width)
    assert tiles.shape[1] == width
    np.testing.assert_array_equal(np.sort(tiles[tiles >= 0]), chosen)
    for tile in tiles:
        own = tile[tile >= 0]
        assert own.size and len(set(groups[own])) == 1
        assert (np.diff(own) > 0).all() and (tile[: own.size] >= 0).all()
    counts = np.bincount(groups[chosen], minlength=1)
    assert len(tiles) == np.sum(-(-counts // width))


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.integers(0, 5))
def test_a_bucket_holds_its_tiles_and_fills_up_with_their_like(count, width, devices, spare):
    groups = np.repeat(np.arange(count), width)
    tiles = packing.tiles_of(groups, np.arange(count * width)[:-1] if width > 1 else groups, width)
    size = -(-len(tiles) // devices) + spare
    bucket, taken = packing.deal(tiles, size, devices)
    assert bucket.shape == taken.shape == (devices * size, width)
    np.testing.assert_array_equal(np.sort(bucket[taken]), np.sort(tiles[tiles >= 0]))
    assert all(len(set(groups[tile])) == 1 for tile in bucket)
    per_device = taken.any(axis=1).reshape(devices, size).sum(axis=1)
    assert per_device.max() - per_device.min() <= 1


def test_tiles_find_what_lanes_find(monkeypatch):
    monkeypatch.setattr(planning, "TILE", 1)
    alone = many()
    monkeypatch.undo()
    together = many()
    assert_same_ends(together, alone)
    np.testing.assert_array_equal(together.n_iter, alone.n_iter)


@pytest.mark.parametrize("n_starts", [2, 3, 7, 23])
def test_tiles_that_are_left_lane_by_lane(monkeypatch, n_starts):
    monkeypatch.setattr(planning, "TILE", 1)
    alone = many(n_starts=n_starts, race=False)
    monkeypatch.undo()
    force_plan(monkeypatch, bucket=16, smallest=2, stride=3)
    seen, stepped = [], []
    run_bucket, advance = packing._run_bucket, lanes.advance

    def watched(job, tiles, *rest):
        seen.append((tiles.shape[1], unfinished(job.runs.run, tiles, 500).sum()))
        stepped.append([])
        return run_bucket(job, tiles, *rest)

    def counted(*args):
        stepped[-1].append(int(np.sum(lanes.is_live(args[4], 500))))
        return advance(*args)

    monkeypatch.setattr(packing, "_run_bucket", watched)
    monkeypatch.setattr(lanes, "advance", counted)
    together = many(n_starts=n_starts, race=False)
    assert_same_ends(together, alone)
    # What fills a bucket up is never stepped.
    assert all(calls[0] == alive for calls, (_, alive) in zip(stepped, seen, strict=True))
    widths = [width for width, _ in seen]
    assert widths == sorted(widths, reverse=True) and set(widths) == {1, max(widths)}
    # As wide as the starts of a data set, or as their padded number; never wider than a tile.
    assert -(-n_starts // -(-n_starts // planning.TILE)) <= max(widths) <= planning.TILE
    assert together.report.executed >= together.report.needed == alone.report.needed


def test_a_data_set_that_fails_leaves_its_tile_to_the_others():
    want = many()
    sets = [*SETS, np.full((50, 2), 1.0), np.full((50, 2), np.nan)]
    fits = jaxem.fit_many(mixture(), sets, key=KEY, n_starts=5, tol=1e-7)
    assert_same_ends(fits[: len(SETS)], want)
    assert not fits[len(SETS) :].sound.any()
    assert (fits.status[-1] == Status.NONFINITE).all()
