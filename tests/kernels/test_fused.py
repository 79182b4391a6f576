"""The fused kernel equals the reference: interpreted on a CPU, compiled where a GPU is present."""

import functools
import subprocess
import sys
import types

import chex
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import platform_of

import jaxem
from jaxem.core.model_values import Compute
from jaxem.kernels import (
    KERNELS,
    Assignment,
    as_blocks,
    blocked_moments,
    choose,
    padded_rows,
    softmax_moments,
    softmax_moments_reference,
    with_features,
)
from jaxem.kernels.fused.arithmetic import arithmetic
from jaxem.kernels.fused.body import _bounded, terms_of
from jaxem.kernels.fused.launch import features_of, fused_moments
from jaxem.kernels.fused.tiling import plan, power_of_two, row_layout


def _full(d):
    return jaxem.Gaussian("full").products(d)


def _problem(n, d, k, lanes, dtype, seed=0, spread=1.0, pairs=None):
    """beta f[lanes, k, p], rows f[d, n], weight f[n] with zeros, reference f[lanes]."""
    rng = np.random.default_rng(seed)
    pairs = _full(d) if pairs is None else pairs
    rows = spread * rng.normal(size=(d, n))
    beta = rng.normal(size=(lanes, k, len(pairs)))
    weight, reference = rng.integers(0, 3, n), rng.normal(size=lanes)
    return pairs, *(jnp.asarray(a, dtype) for a in (beta, rows, weight, reference))


@functools.partial(jax.jit, static_argnames=("pairs", "hard", "precision"))
def _fused(pairs, beta, rows, weight, reference, exponent=None, hard=False, precision="float32"):
    """All lanes on the same rows."""
    way = Assignment(exponent, hard)
    one = lambda b, r: fused_moments(pairs, b, rows, weight, r, way, precision)  # noqa: E731
    return jax.vmap(one)(beta, reference)


def _reference(pairs, beta, rows, weight, reference, exponent=1.0, hard=False):
    """The textbook in float64."""
    beta, rows, weight, reference = (np.asarray(a, float) for a in (beta, rows, weight, reference))
    phi = features_of(pairs, jnp.asarray(rows.T))
    moments, total = _textbook(phi, jnp.asarray(beta), jnp.asarray(weight), exponent, hard)
    return moments, total - reference * weight.sum()


@functools.partial(jax.jit, static_argnames="hard")
def _textbook(phi, beta, weight, exponent, hard):
    return jax.vmap(lambda b: softmax_moments_reference(phi, b, weight, exponent, hard))(beta)


def _assert_close(got, want, dtype, scale=1.0):
    chex.assert_tree_all_finite(got)
    unit = float(np.finfo(dtype).eps) * scale
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(
            np.asarray(one, float), other, rtol=40 * unit, atol=40 * unit * np.abs(other).max()
        )


# Shapes of every path: rows that do not fill a block, K and lanes that are no powers of two, one
# lane, rows that several threads share, matrix products. Programs stay few; hypothesis varies what
# is in them.
SHAPES = {
    (1, 1, 1, 1): "plain",
    (70, 2, 3, 5): "plain",
    (33, 3, 9, 1): "plain",
    (40, 3, 33, 3): "plain",
    (40, 4, 129, 3): "dot",
}


@hypothesis.settings(max_examples=30)
@hypothesis.given(
    shape=st.sampled_from(sorted(SHAPES)),
    dtype=st.sampled_from([jnp.float32, jnp.float64]),
    exponent=st.sampled_from([0.3, 1.0, 2.0]),
    off=st.integers(0, 5),
    spread=st.sampled_from([0.1, 1.0, 5.0]),
    seed=st.integers(0, 10**6),
)
def test_fused_equals_reference(shape, dtype, exponent, off, spread, seed):
    n, d, k, lanes = shape
    assert plan(k, len(_full(d)), lanes, dtype).path == SHAPES[shape]
    pairs, beta, *rest = _problem(n, d, k, lanes, dtype, seed, spread)
    if off < k - 1:
        beta = beta.at[:, off, 0].set(-1e30)
    got = _fused(pairs, beta, *rest, jnp.asarray(exponent, dtype))
    want = _reference(pairs, beta, *rest, exponent)
    # The logits' own rounding grows with what is summed in them.
    _assert_close(got, want, dtype, scale=10 * max(1, exponent) * max(1, spread**2))
    if off < k - 1:
        assert (got[0][:, off] == 0).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("shape", [(70, 2, 3, 5), (40, 3, 33, 3), (40, 4, 129, 3)])
def test_hard_assignment_equals_reference(shape, dtype):
    problem = _problem(*shape, dtype)
    got = _fused(*problem, hard=True)
    _assert_close(got, _reference(*problem, hard=True), dtype, scale=10)
    tie = _fused(problem[0], jnp.zeros_like(problem[1]), *problem[2:], hard=True)
    np.testing.assert_array_equal(tie[0][:, 1:], 0)


@pytest.mark.parametrize("n", [1, 33, 2049])
def test_the_last_chunk_may_be_ragged(n):
    problem = _problem(n, 1, 3, 2, jnp.float64)
    _assert_close(_fused(*problem), _reference(*problem), jnp.float64, scale=10)


@pytest.mark.parametrize("shape, last", [((3, 1 << 27), (1 << 27) - 64), ((3, 1 << 30), 1 << 29)])
def test_places_of_rows_are_what_they_were(shape, last):
    rows = types.SimpleNamespace(shape=shape)
    for start in (0, 64, last, shape[1] - 64):
        assert _bounded(np.int32(start), rows) == start


PAIRS = {
    "no term alone": ((0, 0), (1, 1), (1, 2), (2, 2)),
    "one term alone, products turned": ((0, 0), (2, 1), (2, 0), (2, 2)),
    "no constant": ((0, 1), (1, 1), (2, 2)),
    "products alone": ((1, 2),),
    "constant alone": ((0, 0),),
}


@pytest.mark.parametrize("pairs", PAIRS.values(), ids=PAIRS)
def test_any_products_of_atoms_are_features(pairs):
    # Without a constant nothing can stand for a component that is not there: K is a power of two.
    problem = _problem(70, 2, 4, 3, jnp.float64, pairs=pairs)
    _assert_close(_fused(*problem), _reference(*problem), jnp.float64, scale=10)


def test_the_same_bits_every_time_whatever_the_neighbours():
    for shape in [(70, 2, 3, 5), (40, 3, 33, 3), (40, 4, 129, 3)]:
        pairs, beta, rows, weight, reference = _problem(*shape, jnp.float32)
        first = _fused(pairs, beta, rows, weight, reference)
        chex.assert_trees_all_equal(first, _fused(pairs, beta, rows, weight, reference))
        poisoned = beta.at[1:].set(jnp.nan)
        alone = _fused(pairs, poisoned, rows, weight, reference)
        turned = _fused(pairs, beta[::-1], rows, weight, reference[::-1])
        for got, want in [(alone, 0), (turned, -1)]:
            chex.assert_trees_all_equal(
                jax.tree.map(lambda a, i=want: a[i], got), jax.tree.map(lambda a: a[0], first)
            )


def test_a_lane_has_the_same_bits_in_a_bucket_of_another_size():
    pairs, beta, rows, weight, reference = _problem(70, 2, 3, 5, jnp.float32)
    many = _fused(pairs, beta, rows, weight, reference)
    for count in (1, 3):
        few = _fused(pairs, beta[:count], rows, weight, reference[:count])
        want = jax.tree.map(lambda a, c=count: a[:c], many)
        if plan(3, 6, count, jnp.float32) == plan(3, 6, 5, jnp.float32):
            chex.assert_trees_all_equal(few, want)
        # A narrower tile is another program, which may contract its products otherwise.
        chex.assert_trees_all_close(few, want, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arithmetic_without_named_instructions(dtype):
    do, eps = arithmetic(False, dtype), float(np.finfo(dtype).eps)
    x = np.linspace(1, 87, 2001, dtype=dtype)
    wide = x.astype(float)
    exponential = np.asarray(do.exp_nonpositive(-x), float)
    assert (np.abs(exponential * np.exp(wide) - 1) <= eps * (4 + wide)).all()
    np.testing.assert_allclose(do.inverse(x), 1 / wide, rtol=eps)
    np.testing.assert_allclose(do.log(x), np.log(wide), rtol=4 * eps)
    np.testing.assert_allclose(do.multiply_add(x, x, x), wide + wide**2, rtol=4 * eps)
    assert do.exp_nonpositive(jnp.asarray([-1e30, 0], dtype)).tolist() == [0, 1]


# Under the caller's transformations --------------------------------------------------------------


def _launches(function, *args):
    """The distinct kernel calls of a program, as the shapes of their operands."""
    found = set()

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "pallas_call":
                found.add(tuple(v.aval.shape for v in equation.invars))
            else:
                for inner in jax.tree.leaves(
                    list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")
                ):
                    inner = getattr(inner, "jaxpr", inner)
                    if hasattr(inner, "eqns"):
                        visit(inner)

    visit(jax.make_jaxpr(function)(*args).jaxpr)
    return found


def test_vmap_is_one_kernel_and_copies_no_rows():
    pairs, beta, rows, weight, reference = _problem(70, 2, 3, 6, jnp.float32)
    launches = _launches(functools.partial(_fused, pairs), beta, rows, weight, reference)
    # Three tiles of two lanes; one set of rows and of weights, filled to a multiple of 64.
    assert launches == {((3, 6, 2, 4), (3, 2), (1, 2, 128), (1, 1, 128))}


ORDERS = [("outside", True), ("inside", True), ("inside", False), ("shared", False)]


@pytest.mark.parametrize("order, own_weight", ORDERS)
def test_vmap_in_any_order(order, own_weight):
    rng = np.random.default_rng(0)
    sets, lanes, (n, d, k) = 2, 3, (40, 2, 3)
    pairs = _full(d)
    beta = jnp.asarray(rng.normal(size=(sets, lanes, k, len(pairs))))
    reference = jnp.asarray(rng.normal(size=(sets, lanes)))
    rows = jnp.asarray(rng.normal(size=(sets, d, n)))
    weight = jnp.asarray(rng.integers(0, 3, (sets, lanes, n)), float)
    rows = rows if order != "shared" else jnp.stack([rows[0]] * sets)
    weight = weight if own_weight else weight[:, :1]
    one = functools.partial(fused_moments, pairs)
    w_inner, data = (0 if own_weight else None), (None if order == "shared" else 0)
    if order == "inside":
        per_set = jax.vmap(one, in_axes=(0, 0, 0, 0))
        f = jax.vmap(per_set, in_axes=(1, None, 1 if own_weight else None, 1), out_axes=1)
    else:
        f = jax.vmap(jax.vmap(one, in_axes=(0, None, w_inner, 0)), in_axes=(0, data, 0, 0))
    got = jax.jit(f)(
        beta,
        rows[0] if order == "shared" else rows,
        weight if own_weight else weight[:, 0],
        reference,
    )
    for s in range(sets):
        for lane in range(lanes):
            w = weight[s, lane if own_weight else 0]
            one_lane = slice(lane, lane + 1)
            want = _reference(pairs, beta[s, one_lane], rows[s], w, reference[s, one_lane])
            _assert_close([a[s, one_lane] for a in got], want, jnp.float64, scale=10)


def test_derivatives_are_those_of_the_blocked_step():
    pairs, beta, rows, weight, reference = _problem(40, 2, 3, 2, jnp.float64)

    def loss(step, beta, rows, weight):
        moments, total = step(beta, rows, weight)
        return jnp.sum(jnp.sin(moments)) + total

    def fused(beta, rows, weight):
        return fused_moments(pairs, beta, rows, weight, reference[0])

    def blocked(beta, rows, weight):
        features = functools.partial(features_of, pairs)
        return blocked_moments(features, beta, as_blocks(rows.T, weight, 64), reference[0])

    gradients = [
        jax.jit(jax.vmap(jax.grad(functools.partial(loss, step), (0, 1, 2)), (0, None, None)))
        for step in (fused, blocked)
    ]
    got, want = (gradient(beta, rows, weight) for gradient in gradients)
    chex.assert_trees_all_close(got, want, rtol=1e-10, atol=1e-10)
    lanes = jax.vmap(functools.partial(loss, fused), in_axes=(0, None, None))
    outside = jax.jit(jax.grad(lambda b: jnp.sum(lanes(b, rows, weight))))(beta)
    chex.assert_trees_all_close(outside, want[0], rtol=1e-10, atol=1e-10)


def test_lanes_may_be_spread_over_devices():
    pairs, beta, rows, weight, reference = _problem(40, 1, 3, 8, jnp.float32)
    spread, whole = jax.sharding.PartitionSpec("lanes"), jax.sharding.PartitionSpec()
    split = jax.shard_map(
        functools.partial(_fused, pairs),
        mesh=jax.sharding.Mesh(np.array(jax.devices()), ("lanes",)),
        in_specs=(spread, whole, whole, spread),
        out_specs=spread,
        check_vma=False,  # JAX cannot tell over which devices the results of a kernel vary.
    )
    got = jax.jit(split)(beta, rows, weight, reference)
    want = _fused(pairs, beta, rows, weight, reference)
    chex.assert_trees_all_close(got, want, rtol=2e-6, atol=2e-6)


# The door and the chooser ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "known"])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_products_are_the_features(kind, d):
    options = {"covariance": np.eye(d)} if kind == "known" else {}
    family, x = jaxem.Gaussian(kind, **options), np.random.default_rng(d).normal(size=(7, d))
    x = jnp.asarray(x)
    np.testing.assert_array_equal(features_of(family.products(d), x), family.features(x))


@pytest.mark.parametrize("kind", ["full", "spherical"])
def test_every_kernel_behind_the_door_gives_the_same(kind):
    family, rng = jaxem.Gaussian(kind), np.random.default_rng(0)
    x, weight = jnp.asarray(rng.normal(size=(45, 2))), jnp.asarray(rng.uniform(size=45))
    products = family.products(2) or None
    beta = jnp.asarray(rng.normal(size=(3, 6 if kind == "full" else 4)))

    @functools.partial(jax.jit, static_argnums=0)
    def step(kernel, blocks):
        how = jnp.asarray(0.5), Assignment(jnp.asarray(0.7)), Compute(kernel), products
        return softmax_moments(family.features, beta, blocks, *how)

    several = as_blocks(x, weight, 20)
    want = step("reference", several)
    for kernel in KERNELS:
        for blocks in (several, with_features(family.features, several)):
            chex.assert_trees_all_close(step(kernel, blocks), want, rtol=1e-12, atol=1e-12)


def test_a_name_that_is_no_kernel_and_a_size_that_is_too_large_are_refused():
    pairs, beta, rows, weight, reference = _problem(8, 2, 3, 1, jnp.float32)
    blocks = as_blocks(rows.T, weight, 8)
    with pytest.raises(ValueError, match="kernel must be one of reference, blocked, fused"):
        softmax_moments(_features_2, beta[0], blocks, reference[0], compute=Compute("cuda"))
    with pytest.raises(ValueError, match="precision must be one of float32, tf32x3, bf16x3"):
        compute = Compute(precision="tf32")
        softmax_moments(_features_2, beta[0], blocks, reference[0], compute=compute)
    with pytest.raises(ValueError, match="kernel must be one of"):
        choose("cpu", 3, 6, 1, jnp.float32, "cuda")
    with pytest.raises(ValueError, match="no room on chip for 600 components"):
        fused_moments(pairs, jnp.zeros((600, 6)), rows, weight, reference[0])


def _features_2(x):
    return features_of(_full(2), x)


def test_the_choice():
    """Fused on a GPU where a component's sums fit the registers of a thread; blocked elsewhere."""
    for platform in ("cpu", "tpu"):
        assert choose(platform, 8, 6, 1000, np.float32) == "blocked"
    for platform in ("gpu", "cuda", "rocm"):
        assert choose(platform, 8, 6, 1000, np.float32) == "fused"
        assert choose(platform, 8, 1000, 1000, np.float32) == "blocked"
        assert choose(platform, 2000, 6, 1000, np.float32) == "blocked"
    assert choose("cpu", 8, 6, 1000, np.float32, "fused") == "fused"


@pytest.mark.parametrize(
    ("dtype", "k", "widest"),
    [
        # Coefficients and sums of one component fill a thread's registers.
        (np.float32, 1, 91), (np.float32, 8, 91), (np.float32, 32, 91),
        # A warp has no room for the sums of a lane: K · P > 2944, of K padded to a power of two.
        (np.float32, 33, 46), (np.float32, 64, 46), (np.float32, 128, 23), (np.float32, 256, 11),
        # Numbers of twice the size: features beyond which matrix units win, and K · P > 1472.
        (np.float64, 8, 16), (np.float64, 64, 16), (np.float64, 65, 11), (np.float64, 128, 11),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lanes", [1, 1000])
def test_the_choice_at_the_limits_of_registers(dtype, k, widest, lanes):
    """The plain body at the limit, which the choice then takes; beyond it the blocked kernel."""
    assert plan(k, widest, lanes, dtype).path == "plain"
    assert choose("gpu", k, widest, lanes, dtype) == "fused"
    assert choose("gpu", k, widest + 1, lanes, dtype) == "blocked"


def test_the_body_at_the_limits_of_registers():
    for k, p, dtype, path in [
        (32, 91, np.float32, "plain"), (32, 92, np.float32, "dot"), (33, 91, np.float32, "dot"),
        (128, 23, np.float32, "plain"), (128, 24, np.float32, "dot"),
        (64, 23, np.float64, "plain"), (64, 24, np.float64, "dot"),
        # Padded sizes: 64 · 128 sums fill sixteen warps of 512 sums each.
        (64, 128, np.float32, "dot"), (32, 128, np.float64, "dot"),
    ]:  # fmt: skip
        assert plan(k, p, 1, dtype).path == path
    for k, p, dtype in [(65, 128, np.float32), (64, 129, np.float32), (33, 128, np.float64)]:
        assert plan(k, p, 1, dtype) is None


@pytest.mark.parametrize(
    "capability, kernel",
    [("7.0", "blocked"), ("7.5", "fused"), ("10.0", "fused"), ("gfx90a", "fused"), (None, "fused")],
)
def test_a_gpu_that_pallas_does_not_know_takes_the_blocked_kernel(monkeypatch, capability, kernel):
    device = types.SimpleNamespace(compute_capability=capability)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert choose("gpu", 8, 6, 1000, np.float32) == kernel


def test_features_that_are_there_twice_are_refused():
    with pytest.raises(ValueError, match="must differ from one another"):
        terms_of(((0, 0), (0, 1), (1, 0)))


def test_a_jax_without_pallas_for_triton_fits_by_the_blocked_kernel():
    program = """
import sys
sys.modules["jax.experimental.pallas.triton"] = None
import jax, jaxem
from jaxem.kernels import choose

assert choose("gpu", 8, 6, 1000, "float32") == "blocked"
model = jaxem.Mixture(jaxem.Poisson(), n_components=1)
fit = lambda **how: jaxem.fit(model, [[1], [2]], key=jax.random.key(0), n_starts=1, **how)
assert fit().report.kernel == "blocked"
try:
    fit(kernel="fused")
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120
    )
    assert "kernel='fused' needs Pallas' backend for Triton, which JAX" in done.stdout, done.stderr


@hypothesis.given(n=st.integers(1, 10**7))
def test_chunks_cover_the_rows_and_waste_little(n):
    chunks, length = row_layout(n)
    assert chunks * length == padded_rows(n) >= n
    assert length % 64 == 0
    assert padded_rows(n) - n < 64 * chunks
    assert row_layout(padded_rows(n)) == (chunks, length)


@hypothesis.example(k=1, p=91, lanes=1, dtype=np.float64)
@hypothesis.given(
    k=st.integers(1, 300),
    p=st.integers(1, 300),
    lanes=st.integers(1, 5000),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_tiles_hold_their_lanes(k, p, lanes, dtype):
    tile = plan(k, p, lanes, dtype)
    if tile is None:
        assert k * p > 400 or p > 128
        return
    assert tile.components >= k and tile.features >= p
    for size in (tile.lanes, tile.components, tile.rows, tile.warps):
        assert size == power_of_two(size)
    assert tile.lanes < 2 * lanes
    if tile.path == "dot":
        assert tile.features == power_of_two(tile.features) >= 16
        assert tile.lanes * tile.components >= 16
    else:
        assert tile.features == p
        # A warp has a row's columns on as many threads as it has rows left over.
        assert tile.warps == 1 and tile.components >= 32 // tile.rows
        assert 64 % (tile.rows * tile.turns) == 0


# What is compiled for a GPU, read without one ----------------------------------------------------


def _lowered(function, *args):
    with platform_of("cuda"):
        return jax.jit(function).trace(*args).lower(lowering_platforms=("cuda",))


def _triton_modules(lowered) -> list[str]:
    """The kernels in a program lowered for CUDA, as text."""
    dialect = pytest.importorskip("jaxlib.triton").dialect
    from jaxlib.mlir import ir

    found = []

    def visit(operation):
        for region in operation.regions:
            for block in region.blocks:
                for inner in block.operations:
                    attributes = inner.operation.attributes
                    if "mhlo.backend_config" in attributes:
                        config = {a.name: a.attr for a in attributes["mhlo.backend_config"]}
                        context = ir.Context()
                        dialect.register_dialect(context)
                        found.append(str(ir.Module.parse(config["ir"].value_bytes, context)))
                    visit(inner.operation)

    visit(lowered.compiler_ir().operation)
    return found


@pytest.mark.parametrize("precision", ["float32", "tf32x3"])
def test_the_products_of_xla_are_never_tf32_by_default(precision):
    pairs, beta, rows, weight, reference = _problem(40, 4, 3, 2, jnp.float32)

    def blocked(beta, rows, weight):
        features = functools.partial(features_of, pairs)
        blocks = as_blocks(rows.T, weight, 64)
        compute = Compute(precision=precision)
        return softmax_moments(features, beta[0], blocks, reference[0], compute=compute)

    lines = _lowered(blocked, beta, rows, weight).as_text().splitlines()
    products = [line for line in lines if "dot_general" in line]
    exact = [line for line in products if line.count("HIGHEST") == 2]
    assert not any("tf32" in line or "algorithm" in line for line in exact)
    fast = [line for line in products if line not in exact]
    # Logits and moments, of which the moments' parts are two; the likelihood's sum is no product.
    assert (len(exact), len(fast)) == ((2, 0) if precision == "float32" else (0, 3))
    for line in fast:
        assert "lhs_precision_type = tf32" in line and "num_primitive_operations = 1" in line


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_no_product_of_an_em_step_is_tf32(kind):
    model = jaxem.Mixture(jaxem.Gaussian(kind), n_components=3)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(40, 12)), jnp.float32)
    params = model.blank(12, jnp.float32)

    def em_step(params, x):
        stats, total = model.e_step(params, x)
        seen = model.expect(params, model.prepare(x), jnp.zeros((), jnp.float32))
        return model.m_step(stats, params), total, seen, model.log_joint(params, x)

    lines = _lowered(em_step, params, x).as_text().splitlines()
    products = [line for line in lines if "dot_general" in line]
    assert len(products) > 3
    for line in products:
        assert line.count("HIGHEST") == 2 and "tf32" not in line


@pytest.mark.parametrize("precision", ["float32", "tf32x3", "bf16x3"])
def test_the_products_of_the_fused_kernel_are_never_tf32_by_default(precision):
    pairs, *arrays = _problem(40, 5, 129, 2, jnp.float32)
    assert plan(129, len(pairs), 2, jnp.float32).path == "dot"
    (kernel,) = _triton_modules(
        _lowered(lambda *a: _fused(pairs, *a, precision=precision), *arrays)
    )
    products = [line for line in kernel.splitlines() if "tt.dot " in line]
    assert len(products) == (6 if precision == "bf16x3" else 2)
    for line in products:
        assert ("tf32x3" in line) == (precision == "tf32x3")
        assert "tf32" not in line.replace("tf32x3", "")
        assert ("bf16" in line) == (precision == "bf16x3")


@pytest.mark.parametrize("precision", ["tf32x3", "bf16x3"])
def test_what_is_written_out_is_float32_in_any_precision(precision):
    pairs, *arrays = _problem(40, 8, 8, 2, jnp.float32)
    (fast,), (exact,) = (
        _triton_modules(_lowered(lambda *a, p=p: _fused(pairs, *a, precision=p), *arrays))
        for p in (precision, "float32")
    )
    assert "tt.dot" not in fast and fast == exact


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_kernel_can_be_lowered_for_cuda(shape, dtype, hard):
    pairs, *arrays = _problem(*shape, dtype)
    lowered = _lowered(lambda *a: _fused(pairs, *a, hard=hard), *arrays)
    assert lowered.as_text().count("custom_call @__gpu$xla.gpu.triton") == 1
    (kernel,) = _triton_modules(lowered)
    assert kernel.count("tt.dot ") == (2 if SHAPES[shape] == "dot" else 0)
    # XLA contracts nothing in these kernels: what is not asked for as one instruction is two.
    assert ("fma.rn" in kernel) == (SHAPES[shape] == "plain")
    if SHAPES[shape] == "plain":  # what is loaded a turn ahead is never beyond the last
        assert "arith.minsi" in kernel
    assert "atomic" not in kernel
