"""What whole fits are lowered to for accelerators, read without one: precision, library calls."""

import collections
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lowered import engine_programs
from problems import platform_of

import jaxem
from jaxem.batch import lanes
from jaxem.batch.grid import Grid
from jaxem.data.scaling import Scaling
from jaxem.engine import steps
from jaxem.engine.finish import cast
from jaxem.engine.steps import Control
from jaxem.numerics import PRECISIONS, device_einsum, split_products

F32 = np.float32


def calls(text):
    """Calls of library routines and kernels."""
    return collections.Counter(re.findall(r"custom_call @([\w$.]+)", text))


def products(text):
    """Lines of products of floating numbers."""
    return [line for line in text.splitlines() if "dot_general" in line and "xf" in line]


CASES = {
    "full": (jaxem.Gaussian("full"), 8, None, "k-means++"),
    "full, 16": (jaxem.Gaussian("full"), 16, "squarem", "kmeans"),
    "tied": (jaxem.Gaussian("tied"), 8, "anderson", "random"),
    "spherical": (jaxem.Gaussian("spherical"), 4, None, "random_from_data"),
}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("case", CASES)
def test_no_tf32_no_library_call_per_matrix_and_no_float64(case, platform):
    kernel, texts = engine_programs(platform, *CASES[case])
    assert kernel == ("fused" if platform == "cuda" and case != "full, 16" else "blocked")
    found = 0
    for name, text in texts.items():
        # No factorisation, no triangular solve, no sort: the kernel and nothing else.
        assert set(calls(text)) <= {"__gpu$xla.gpu.triton"}, name
        assert name != "advance" or bool(calls(text)) == (kernel == "fused")
        assert not re.search(r"triangular_solve|stablehlo.cholesky", text)
        assert not re.search(r"tensor<[\dx]+xf64>", text), name  # scalars are Python's numbers
        for line in products(text):
            assert line.count("HIGHEST") == 2 and "algorithm" not in line, line
        found += len(products(text))
    assert found >= 3


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_tiles_of_separate_data_are_lanes_of_one_kernel(platform):
    kind, sets, width = {"cuda": "gpu"}.get(platform, platform), 4, 3
    model = cast(jaxem.Mixture(jaxem.Gaussian("full"), n_components=3), F32)
    data = jaxem.Data(jax.ShapeDtypeStruct((200, 8), F32), jax.ShapeDtypeStruct((200,), F32))
    compute = model.compute_for(data, sets * width, None, None, kind)
    prepared = jax.eval_shape(lambda data: model.prepare(data, 200, compute), data)
    control = Control(F32(1e-6), 500)
    params = jax.eval_shape(lambda: model.blank(8, F32))
    run = jax.eval_shape(lambda *at: steps.start(model, *at, control), params, prepared)

    def leading(count, tree):
        struct = lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype)  # noqa: E731
        return jax.tree.map(struct, tree)

    scaling = Scaling(np.zeros(8, F32), np.ones(8, F32))
    parts = leading(sets, (model, data, prepared, scaling))
    grid = Grid(*parts, shared=False, compute=compute)
    number, runs = np.zeros(sets, np.int32), leading(sets * width, run)
    with platform_of(platform):
        traced = lanes.advance.on(kind, False).trace(
            grid, number, control, lanes.Until(500, least=1), runs
        )
        text = traced.lower(lowering_platforms=(platform,)).as_text()
    assert bool(calls(text)) == (platform == "cuda")
    # Arrays of rows, however padded, are there once for every tile, not for every lane.
    arrays = [[int(size) for size in one.split("x")] for one in re.findall(r"<([\dx]+)xf32>", text)]
    of_rows = [shape for shape in arrays if 8 in shape[1:] and max(shape) >= 200]
    assert of_rows and {shape[0] for shape in of_rows} == {sets}


# Products of the step and operations of each: bf16x3 leaves the three parts to XLA.
FAST = [("tf32x3", "tf32", ["cuda"], 3, 1), ("bf16x3", "bf16", ["cuda", "tpu"], 2, 3)]


@pytest.mark.parametrize("precision, type_, platforms, count, operations", FAST)
def test_a_fast_precision_is_that_of_the_two_products_of_the_step(
    precision, type_, platforms, count, operations
):
    for platform in ("cuda", "tpu"):
        how = dict(precision=precision, kernel="blocked")
        _, texts = engine_programs(platform, jaxem.Gaussian("tied"), 2, **how)
        fast = [line for line in products(texts["advance"]) if "algorithm" in line]
        assert len(fast) == (count if platform in platforms else 0)
        for line in fast:
            assert f"lhs_precision_type = {type_}" in line
            assert f"num_primitive_operations = {operations}" in line
        exact = [line for line in products(texts["advance"]) if line not in fast]
        assert exact and all(line.count("HIGHEST") == 2 for line in exact)


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="a GPU has fast products")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_where_a_device_has_no_fast_products_they_are_exact(precision):
    a = np.random.default_rng(0).normal(size=(40, 40)).astype(F32)
    got = jax.jit(lambda a: device_einsum("ij,jk->ik", a, a, precision=precision))(a)
    np.testing.assert_allclose(got, a.astype(float) @ a, rtol=0, atol=2e-5)


@pytest.mark.parametrize("p, n", [(3, 300), (40, 300), (300, 40), (16, 64)])
def test_products_by_parts_keep_21_bits(monkeypatch, p, n):
    # The CPU has no TF32: each part is cut to its bits, then multiplied exactly.
    monkeypatch.setattr(split_products, "_TF32", jax.lax.Precision.HIGHEST)
    monkeypatch.setattr(split_products, "_PIECE", 64)
    rng = np.random.default_rng(p)
    beta, phi, resp = (rng.uniform(size=shape).astype(F32) for shape in [(3, 7, p), (p, n), (7, n)])
    by_parts = split_products.by_parts
    logits = jax.vmap(lambda b: by_parts("kp,pm->km", b, phi))(beta)
    np.testing.assert_allclose(logits, beta.astype(float) @ phi, rtol=2e-6)
    moments = by_parts("km,pm->kp", resp, phi)
    assert moments.shape == (7, p)
    np.testing.assert_allclose(moments, resp.astype(float) @ phi.T, rtol=2e-6)
    high, low = split_products._halves(jnp.asarray(resp))
    assert not np.any(np.asarray(high).view(np.uint32) & 0x1FFF)
    np.testing.assert_array_equal(np.asarray(high, float) + np.asarray(low), resp)
    assert np.abs(np.asarray(low) / resp).max() <= 2.0**-11
    slope = jax.jvp(lambda b: by_parts("kp,pm->km", b, phi), (beta[0],), (beta[1],))[1]
    np.testing.assert_allclose(slope, beta[1].astype(float) @ phi, rtol=2e-6)


def _contracted(function, *shapes):
    """Terms of every sum, and columns of its right side, of the products of a program."""
    jaxpr = jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(s, F32) for s in shapes))
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            left, right = (v.aval.shape for v in equation.invars)
            found.append((left[axes[0]], right))
    return found


def test_matrix_units_add_up_no_long_sums_and_get_aligned_operands():
    by_parts = split_products.by_parts.fun
    short = _contracted(lambda a, b: by_parts("kp,pm->km", a, b), (7, 45), (45, 3000))
    assert short == [(3 * 48, (3 * 48, 3000))]
    long = _contracted(lambda a, b: by_parts("km,pm->kp", a, b), (7, 3000), (45, 3000))
    piece = split_products._PIECE
    assert [terms for terms, _ in long] == [piece, piece]
    assert all(sorted(shape)[-1] == piece and 3 in shape for _, shape in long)
    assert [96 in long[0][1], 48 in long[1][1]] == [True, True]


@pytest.mark.parametrize("spec", ["km,pm->kp", "mk,pm->kp", "km,mp->kp", "mk,mp->pk"])
def test_long_sums_by_parts_whichever_axis_comes_first(monkeypatch, spec):
    monkeypatch.setattr(split_products, "_TF32", jax.lax.Precision.HIGHEST)
    monkeypatch.setattr(split_products, "_PIECE", 64)
    rng, (left, right) = np.random.default_rng(0), spec.split("->")[0].split(",")
    size = dict(k=7, p=5, m=300)
    a, b = (rng.normal(size=[size[axis] for axis in axes]).astype(F32) for axes in (left, right))
    want = np.einsum(spec, a.astype(float), b.astype(float))
    np.testing.assert_allclose(split_products.by_parts(spec, a, b), want, rtol=0, atol=5e-5)
    lanes = np.stack([a, 2 * a])
    several = jax.vmap(lambda a: split_products.by_parts(spec, a, b))(lanes)
    np.testing.assert_allclose(several, np.stack([want, 2 * want]), rtol=0, atol=1e-4)
    weight = rng.normal(size=want.shape)
    loss = lambda a, b: jnp.sum(split_products.by_parts(spec, a, b) * weight.astype(F32))  # noqa: E731
    out = spec.split("->")[1]
    for got, turned in zip(
        jax.grad(loss, (0, 1))(a, b),
        (
            np.einsum(f"{out},{right}->{left}", weight, b),
            np.einsum(f"{out},{left}->{right}", weight, a),
        ),
        strict=True,
    ):
        np.testing.assert_allclose(got, turned, rtol=1e-4, atol=5e-5)
