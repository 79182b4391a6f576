"""Fits over eight devices of one process: by lanes the same bits, by rows the same numbers; and
what is said where devices or their memory are missing."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Killed, assert_same_bits, assert_same_ends, dies_after
from jax.sharding import Mesh
from problems import force_plan

import jaxem
from jaxem import Status
from jaxem.batch import checkpoint, lanes
from jaxem.batch import grid as grids
from jaxem.devices import placement

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="written for eight devices")

RNG = np.random.default_rng(3)
X = RNG.poisson(np.repeat([1.0, 2.5, 8.0], 61)[:, None], size=(183, 2)).astype(float)
WEIGHT = RNG.uniform(0.5, 1.5, len(X))
LABELS = np.where(np.arange(len(X)) < 5, 0, -1)


def poisson(k=3):
    return jaxem.Mixture(jaxem.Poisson(), n_components=k)


def fit(model=None, n_starts=75, **options):
    """75 starts, which eight devices do not divide; raced, so that lanes leave and come."""
    options = dict(key=jax.random.key(4), accelerate=None, race=True, tol=1e-8) | options
    return jaxem.fit(model or poisson(), X, n_starts=n_starts, **options)


@pytest.fixture
def small(monkeypatch):
    """Small buckets, the same wherever they run."""
    force_plan(monkeypatch, bucket=4, smallest=4, at_once=4)


@pytest.fixture(scope="module")
def one():
    """What one device makes of it."""
    with pytest.MonkeyPatch.context() as patch:
        force_plan(patch, bucket=4, smallest=4, at_once=4)
        return fit()


# Lanes over devices ---------------------------------------------------------------------------


def test_lanes_over_devices_have_the_bits_of_one_device(small, one):
    eight = fit(devices="all")
    assert len(np.unique(one.n_iter)) > 5 and (one.status == Status.PRUNED).any()
    assert_same_bits(eight, one)
    assert eight.report.needed == one.report.needed


@pytest.mark.implementation
def test_devices_have_the_same_number_of_live_lanes_and_wait_for_nobody(small, monkeypatch):
    calls, real = [], lanes.advance

    def advance(*args):
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(lanes, "advance", advance)
    fit(devices="all")
    _balanced([args for args in calls if args[-1].size == 8])
    program = real.on("cpu").lower(*calls[0][:-1], mesh=calls[0][-1])
    text = program.compile().as_text()
    assert "while" in text
    assert not re.search("all-reduce|all-gather|all-to-all|collective-permute", text)


def _balanced(calls):
    """Every bucket that was filled anew gives all devices as many live lanes, to one."""
    assert calls
    filled = 0
    for _, _, _, until, runs, _ in calls:
        assert {len(runs.status.sharding.device_set)} == {8}
        if (runs.n_iter.reshape(8, -1)[:, 0] < 0).any():
            live = np.sum(lanes.is_live(runs, until.limit).reshape(8, -1), axis=1)
            filled += 1
            assert live.max() - live.min() <= 1 or live.max() < 4
    assert filled


def test_children_over_devices_have_the_bits_of_one_device(small):
    options = dict(n_starts=40, race=True, split_merge=2)
    want = fit(**options)
    assert (want.parent >= 0).any()
    assert_same_bits(fit(devices="all", **options), want)


def test_devices_in_other_words():
    devices = jax.devices()
    for said, meant in (
        ("all", devices),
        ("local", devices),
        ("cpu", devices),
        (3, devices[:3]),
        (devices[5], devices[5:6]),
        (tuple(devices[2:4]), devices[2:4]),
        (Mesh(np.array(devices[2:6]).reshape(2, 2), ("a", "b")), devices[2:6]),
    ):
        assert list(placement.placement_of(said).mesh.devices.flat) == meant
    assert placement.placement_of(mesh=Mesh(np.array(devices), ("a",))).devices == 8
    assert placement.placement_of() == placement.DEFAULT


def test_fewer_starts_than_devices(small, one):
    assert_same_bits(fit(n_starts=3, race=False, devices=8), fit(n_starts=3, race=False))


def test_killed_on_devices_it_goes_on_to_the_same_bits(one, tmp_path, monkeypatch):
    """Also where the buckets shrink at the end."""
    force_plan(monkeypatch, bucket=4, smallest=1, at_once=4)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    want = fit(devices="all")
    assert_same_ends(want, one, 1e-8)
    for kill in (1, 4, 9):
        path = tmp_path / str(kill)
        with pytest.MonkeyPatch.context() as patch:
            dies_after(patch, kill)
            with pytest.raises(Killed):
                fit(checkpoint=path, devices="all")
        again = fit(checkpoint=path, devices="all")
        assert_same_bits(again, want)
        assert again.report.executed == want.report.executed


@pytest.mark.parametrize("n_starts, devices", [(5, 4), (1, 8)])
def test_many_data_sets_over_devices(small, n_starts, devices):
    sets = X[np.arange(183) % 61 * 3 + np.arange(183) // 61].reshape(3, 61, 2)

    def many(**options):
        options |= dict(key=jax.random.key(5), n_starts=n_starts, accelerate=None)
        return jaxem.fit_many(poisson(2), sets, **options)

    # XLA of JAX 0.7 rounds a tile that is not full otherwise where several devices run it.
    same = assert_same_bits if jax.__version_info__ >= (0, 8) else assert_same_ends
    same(many(devices=jax.devices()[-devices:]), many())


def test_a_sweep_over_devices(small, one):
    def table(**options):
        options |= dict(key=jax.random.key(6), n_starts=75, accelerate=None, race=True)
        return jaxem.sweep(X, (3,), models=lambda k, kind: poisson(k), **options)

    assert table(devices="all").best.criteria == table().best.criteria


# Rows over devices ----------------------------------------------------------------------------


def test_rows_over_devices_agree_with_one_device(small):
    """183 rows, which eight devices do not divide. So many steps for each run, since rounding may
    end one a step sooner; no ties between distances, which rounding decides."""
    x, model = X + RNG.uniform(0.1, 0.9, X.shape), jaxem.Mixture(jaxem.Exponential(), 2)
    options = dict(key=jax.random.key(4), n_starts=6, tol=0.0, max_iter=12, accelerate=None)
    given = dict(sample_weight=WEIGHT, labels=LABELS)
    spread = jaxem.shard_rows(x, "all", **given)
    want = jaxem.fit(model, x, **given, **options)
    assert_same_ends(jaxem.fit(model, spread, **options), want, 1e-8)
    labels = np.arange(len(X)) % 2
    want = jaxem.fit(model, x, init=labels, **given, **options)
    labels = np.concatenate([labels, np.zeros(len(spread.x) - len(x), int)])  # filled up
    assert_same_ends(jaxem.fit(model, spread, init=labels, **options), want, 1e-8)


def test_the_old_words_for_spread_rows_go_on_working():
    x, model = X + RNG.uniform(0.1, 0.9, X.shape), jaxem.Mixture(jaxem.Exponential(), 2)
    options = dict(key=jax.random.key(4), n_starts=3, tol=0.0, max_iter=5)
    with pytest.warns(FutureWarning, match="mesh= of a Mixture is deprecated"):
        old = jaxem.shard_rows(model, "all")
    spread = jaxem.shard_rows(x, "all")
    want = jaxem.fit(model, spread, **options)
    assert_same_ends(jaxem.fit(old, x, **options), want, 1e-8)
    start = jax.tree.map(lambda leaf: leaf[0], want.params)
    with pytest.warns(FutureWarning, match="place_rows"):
        placed = jaxem.place_rows(old, x)
    one, other = jaxem.em(old, start, placed), jaxem.em(model, start, spread)
    np.testing.assert_allclose(one.objective, other.objective, rtol=1e-12)


def test_children_of_spread_rows_agree_with_one_device():
    x, model = X + RNG.uniform(0.1, 0.9, X.shape), jaxem.Mixture(jaxem.Exponential(), 4)
    params = model.init(jax.random.key(0), x)
    spread = jaxem.shard_rows(x, "all", WEIGHT)
    plain = jaxem.Data(jnp.asarray(x), jnp.asarray(WEIGHT))
    for seed in range(4):
        key = jax.random.key(seed)
        got, want = (model.propose(key, params, data) for data in (spread, plain))
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8)
    fits = jaxem.fit(model, spread, key=jax.random.key(4), n_starts=16, split_merge=1, max_iter=40)
    assert (fits.parent >= 0).any()


def test_steps_of_spread_rows():
    model, how = jaxem.Mixture(jaxem.Gaussian("tied"), n_components=2), dict(exponent=0.7)
    spread = jaxem.shard_rows(X, 5)
    params = model.init(jax.random.key(0), X)
    many = jax.tree.map(lambda leaf: leaf[None], params)
    each = jax.vmap(lambda p: model.e_step(p, spread, **how)[1])(many)[0]
    got = model.e_step(params, spread, **how), jaxem.em(model, params, spread, **how), each
    want = model.e_step(params, X, **how), jaxem.em(model, params, X, **how)
    want = (*want, want[0][1])
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


def test_rows_and_starts_are_not_spread_at_once():
    spread = jaxem.shard_rows(X, 2)
    with pytest.raises(ValueError, match=r"rows are spread already: use one"):
        jaxem.fit(poisson(), spread, key=0, devices=2)
    with pytest.raises(ValueError, match="fit_many spreads fits, not rows"):
        jaxem.fit_many(poisson(), [spread], key=0)
    with pytest.raises(ValueError, match="no devices for its rows"):
        jaxem.place_rows(poisson(), X)


# Devices that are not there -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("gpu", r"finds no NVIDIA GPU here.*pip install 'jaxem\[cuda12\]'.*nvidia-smi"),
        ("tpu", "finds no tpu here"),
        ("fast", "must be 'all', 'local' or one of cpu, gpu"),
        (9, r"this process has 8 .cpu.*jax_num_cpu_devices"),
        (0, "this process has 8"),
        (True, "got True"),
        ([], "an empty list"),
        (["cpu"], "got 'cpu'"),
        (2.5, "got 2.5"),
        (jax.devices()[:1] * 2, r"must be distinct.*1 are distinct"),
    ],
    ids=str,
)
def test_devices_that_are_not_there_are_named(devices, message, monkeypatch):
    monkeypatch.setattr(placement, "_installed", dict)
    with pytest.raises(ValueError, match=message):
        fit(devices=devices)


def test_devices_and_mesh_are_one_thing():
    with pytest.raises(ValueError, match="devices or mesh, not both"):
        fit(devices=2, mesh=Mesh(np.array(jax.devices()), ("a",)))


def test_a_wheel_for_the_wrong_cuda_is_named():
    said = "Unknown backend cuda\nmore"
    old = {"jaxlib": "0.10.2", "jax-cuda12-plugin": "0.9.0"}
    text = placement.why_missing("gpu", said, old)
    assert "jax-cuda12-plugin 0.9.0 does not match jaxlib 0.10.2" in text
    assert "--upgrade 'jaxem[cuda12]'" in text and text.endswith("JAX says: Unknown backend cuda")
    text = placement.why_missing("cuda", said, {"jaxlib": "0.10.2", "jax-cuda13-plugin": "0.10.2"})
    assert "driver for CUDA 13" in text and "CUDA_VISIBLE_DEVICES" in text
    assert "JAX_PLATFORMS" in placement.why_missing(None, said, {})
    text = placement.why_missing(None, "", {}, "cuda,cpu")
    assert text.startswith("JAX_PLATFORMS=cuda,cpu: JAX finds no NVIDIA GPU here. Its CUDA plugin")


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("no such backend")], ids=repr)
def test_a_platform_that_jax_cannot_start_is_named(error, monkeypatch):
    """JAX fails by a bare assertion where JAX_PLATFORMS asks for CUDA without its plugin."""

    def local_devices(backend=None):
        raise error

    monkeypatch.setattr(jax, "local_devices", local_devices)
    for run in (fit, lambda: fit(devices="all")):
        with pytest.raises(ValueError, match="could not start the devices that JAX_PLATFORMS"):
            run()


# Memory that runs out -------------------------------------------------------------------------


def _full_above(monkeypatch, lanes_that_fit):
    """A device whose memory does not hold more than so many lanes; the sizes that were tried."""
    real, tried = lanes.advance, []

    def advance(grid, groups, *rest):
        tried.append(len(groups))
        if len(groups) > lanes_that_fit:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
        return real(grid, groups, *rest)

    monkeypatch.setattr(lanes, "advance", advance)
    return tried


def test_memory_that_runs_out_is_met_by_smaller_blocks(monkeypatch):
    force_plan(monkeypatch, bucket=16, smallest=16, rows=128)
    want = fit(n_starts=20, race=False)
    tried = _full_above(monkeypatch, 4)
    with pytest.warns(
        RuntimeWarning, match=r"Out of memory.*goes on with 4 lanes and blocks of 64"
    ):
        got = fit(n_starts=20, race=False)
    assert tried[0] == 16 and set(tried[1:]) == {4}
    assert_same_ends(got, want, 1e-8)


def test_memory_that_is_not_enough_for_one_lane_is_an_error_with_the_budget(monkeypatch):
    force_plan(monkeypatch, bucket=4, smallest=1, rows=64)
    _full_above(monkeypatch, 0)
    message = r"with one fit at a time.*x float64\[512, 2\] takes 8,192 bytes.*shard_rows"
    with pytest.warns(RuntimeWarning, match="goes on with 1 lanes"):
        with pytest.raises(MemoryError, match=message):
            fit(n_starts=4, race=False)


def test_other_errors_of_the_runtime_are_not_swallowed(small, monkeypatch):
    def advance(*args):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(lanes, "advance", advance)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        fit()


def test_data_too_large_for_the_device(monkeypatch):
    def full(*args):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(grids, "_prepare", full)
    with pytest.raises(MemoryError, match=r"x float64.*give fewer rows"):
        fit()
