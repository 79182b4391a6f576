"""The standardised scaling is what a plain computation in float64 gives, in blocks or not."""

import jax
import numpy as np
import pytest

import jaxem
from jaxem.data.scaling import BLOCK, Scaling, scaling_of, scalings_of, standardize

FAMILIES = {"column": jaxem.Gaussian("full"), "scalar": jaxem.Gaussian("spherical")}
KINDS = list(FAMILIES)


def data(shape, dtype=np.float32, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-1, 1, shape[-1])
    return (offset + scale * rng.normal(size=shape)).astype(dtype)


def plain(kind, x, weight):
    """Shift and scale of one data set, the textbook's two passes in float64, and z."""
    wide, share = x.astype(float), weight.astype(float)[:, None] / weight.sum(dtype=float)
    shift = (share * wide).sum(axis=0).astype(x.dtype)
    square = (share * (wide - shift) ** 2).sum(axis=0)
    if kind == "scalar":
        square = np.full_like(square, square.mean())
    scale = np.sqrt(np.where(square > 0, square, 1)).astype(x.dtype)
    return shift, scale, (x - shift) / scale


def assert_plain(kind, x, weight, scaling, z):
    """Equal to the last place of x's dtype, as far as float64 sums in another order are equal."""
    shift, scale, want = plain(kind, x, weight)
    eps = max(np.finfo(x.dtype).eps, 1e-13)
    assert scaling.shift.dtype == scaling.scale.dtype == z.dtype == x.dtype
    np.testing.assert_allclose(scaling.shift, shift, rtol=2 * eps, atol=4 * eps * scale.max())
    np.testing.assert_allclose(scaling.scale, scale, rtol=4 * eps)
    assert_z(x, scaling, z)
    if (scaling.shift == shift).all() and (scaling.scale == scale).all():
        np.testing.assert_array_equal(z, want)


def assert_z(x, scaling, z):
    np.testing.assert_array_equal(z, (x - scaling.shift) / scaling.scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (501, 2), (BLOCK + 37, 2), (300, 400)])
def test_one_data_set(kind, dtype, offset, shape):
    x = data(shape, dtype, offset)
    scaling = scaling_of(FAMILIES[kind], x, None)
    assert_plain(kind, x, np.ones(shape[0]), scaling, standardize(x, scaling))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_two_processes_have_the_frame_of_all_rows(kind):
    x = data((301, 3), offset=10.0)
    weight = np.random.default_rng(1).uniform(0, 2, 301)
    here, there = scaling_of(FAMILIES[kind], x, weight), []
    # The other process has the same rows; then rows that this one has none of.
    both = scaling_of(FAMILIES[kind], x, weight, lambda own: 2 * own)
    scaling_of(FAMILIES[kind], x, weight, lambda own: there.append(own) or own)
    told = iter(there)
    none = scaling_of(FAMILIES[kind], x[:0], weight[:0], lambda own: own + next(told))
    for scaling in (both, none):
        np.testing.assert_allclose(scaling.shift, here.shift, rtol=1e-6)
        np.testing.assert_allclose(scaling.scale, here.scale, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("shape", [(700, 96, 2), (700, 97, 1), (3, 12, 5), (2, BLOCK, 1)])
def test_many_data_sets_are_framed_as_each_alone(kind, offset, shape):
    x = data(shape, offset=offset)
    rng = np.random.default_rng(1)
    weight = rng.uniform(0, 2, shape[:2]).astype(np.float32)
    weight[:, shape[1] // 2 :] *= rng.integers(0, 2, (shape[0], 1))  # padding, here and there
    frames = scalings_of(FAMILIES[kind], x, weight)
    z = standardize(x, frames)
    for i in {0, 1, shape[0] // 2, shape[0] - 1}:
        scaling = Scaling(frames.shift[i], frames.scale[i])
        assert_plain(kind, x[i], weight[i], scaling, z[i])
        alone = scaling_of(FAMILIES[kind], x[i], weight[i])
        np.testing.assert_allclose(scaling.scale, alone.scale, rtol=4e-7)
    for i in range(shape[0]):
        assert_z(x[i], Scaling(frames.shift[i], frames.scale[i]), z[i])


def test_far_data_keep_their_digits():
    """A shift in float32 is exact enough where the differences are taken first."""
    near = data((400, 64, 2))
    far = near + np.float32(1e6)
    weight = np.ones(far.shape[:2], np.float32)
    frames = scalings_of(FAMILIES["column"], far, weight)
    z = standardize(far, frames)
    mean, spread = z.mean(axis=1, dtype=float), z.std(axis=1, dtype=float)
    ulp = np.spacing(np.float32(1e6)) / frames.scale
    assert (np.abs(mean) <= ulp).all()
    np.testing.assert_allclose(np.sqrt(spread**2 + mean**2), 1, rtol=1e-6)


def test_constant_columns_keep_their_units():
    x = data((300, 48, 2), offset=1e6)
    x[:, :, 1] = x[:, :1, 1]
    frames = scalings_of(FAMILIES["column"], x, np.ones(x.shape[:2], np.float32))
    assert (frames.scale[:, 1] == 1).all()
    assert (standardize(x, frames)[..., 1] == 0).all()


@pytest.mark.parametrize("family", [jaxem.Poisson(), jaxem.Binomial(5)])
def test_unscaled_families_keep_the_data(family):
    x = np.random.default_rng(0).integers(0, 5, (40, 30, 2)).astype(np.float32)
    frames = scalings_of(family, x, np.ones(x.shape[:2], np.float32))
    np.testing.assert_array_equal(standardize(x, frames), x)


@pytest.mark.parametrize("shape", [(90, 64, 3), (501, 3)])
def test_in_place_and_in_any_order_of_memory(shape):
    x = data(shape, offset=100.0)
    sets = x if x.ndim == 3 else x[None]
    scaling = scalings_of(FAMILIES["column"], sets, np.ones(sets.shape[:2], np.float32))
    if x.ndim == 2:
        scaling = Scaling(scaling.shift[0], scaling.scale[0])
    before = x.copy()
    z = standardize(x, scaling)
    np.testing.assert_array_equal(x, before)
    fortran = np.asfortranarray(x)
    np.testing.assert_array_equal(standardize(fortran, scaling), z)
    if x.ndim == 2:
        other = scaling_of(FAMILIES["column"], fortran, None)
        np.testing.assert_array_equal(other.scale, scaling.scale)
    assert standardize(x, scaling, out=x) is x
    np.testing.assert_array_equal(x, z)


def test_the_caller_s_arrays_are_not_written_to():
    sets = [data((40, 2), seed=i) for i in range(3)]
    before = [one.copy() for one in sets]
    model = jaxem.Mixture(FAMILIES["column"], n_components=2)
    jaxem.fit_many(model, sets, key=jax.random.key(0), n_starts=1, max_iter=1)
    jaxem.fit_many(model, np.stack(sets), key=jax.random.key(0), n_starts=1, max_iter=1)
    for one, was in zip(sets, before, strict=True):
        np.testing.assert_array_equal(one, was)
