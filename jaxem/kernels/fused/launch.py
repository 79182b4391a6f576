"""The fused kernel: the E-step as one GPU kernel, like flash attention: logits stay on the chip.

A program computes a tile of whole lanes on a chunk of rows. For a few rows at a time it makes the
features from x, then logits and responsibilities, and adds to its moments. At the end it writes one
partial sum. Partial sums are added in a fixed order, without atomics: the same bits every time.

Features are products of two atoms, φ_p = a_i a_j, where atom 0 is the constant 1 and atom m is
`rows[m − 1]`: [1, x, vech(xxᵀ)] needs x alone. Any other feature is an atom itself. Sizes
that are no power of two are padded: components with the constant −1e30, rows with weight 0,
features with a coefficient of 0, so that no mask is needed.

Without a GPU the same kernel is interpreted: for tests, not for use.
"""

import functools
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jax.experimental import pallas as pl

from jaxem.kernels.blocked import SOFT, Assignment, as_blocks, blocked_moments
from jaxem.kernels.fused.body import Program, Step, dot_program, plain_program
from jaxem.kernels.fused.tiling import Pairs, Tile, padded_rows, plan, row_layout
from jaxem.kernels.fused.triton import AVAILABLE, triton
from jaxem.numerics import NEGLIGIBLE

#: Rows per block of the step whose derivatives stand for the kernel's.
BLOCK_ROWS = 2048


def fused_moments(
    pairs: Pairs,
    beta: jax.Array,
    rows: jax.Array,
    weight: jax.Array,
    reference: jax.Array,
    assignment: Assignment = SOFT,
    precision: str = "float32",
) -> tuple[jax.Array, jax.Array]:
    """Moments f[k, p] and Σ w (logsumexp_k − reference) f[], as `softmax_moments_reference`.

    beta f[k, p], rows f[a, n], weight f[n]. Under `vmap` all lanes share one kernel, and rows and
    weights without a lane axis are never copied. Derivatives are those of the blocked step.
    """
    if not AVAILABLE:
        raise ValueError(
            f"kernel='fused' needs Pallas' backend for Triton, which JAX {jax.__version__} has "
            "not; use kernel='blocked', or another version of JAX."
        )
    step, exponent = Step(pairs, assignment.hard, precision), assignment.exponent
    if exponent is None or assignment.hard:
        return _lane(step, beta, rows, weight, reference)
    # softmax(c βφ) is the softmax of other coefficients, and its level is c times as high.
    moments, total = _lane(step, beta * exponent, rows, weight, reference * exponent)
    return moments, total / exponent


def features_of(pairs: Pairs, x: jax.Array) -> jax.Array:
    """φ f[p, n] of atoms x f[n, a], in plain array operations."""
    atoms = jnp.concatenate([jnp.ones((1, x.shape[0]), x.dtype), x.T])
    i, j = np.asarray(pairs).T
    return atoms[i] * atoms[j]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _lane(step, beta, rows, weight, reference):
    moments, total = _grouped(step)(
        beta[None, None], rows[None], weight[None, None], reference[None, None]
    )
    return moments[0, 0], total[0, 0]


@_lane.defjvp
def _(step, primals, tangents):
    def blocked(beta, rows, weight, reference):
        features = partial(features_of, step.pairs)
        blocks = as_blocks(rows.T, weight, BLOCK_ROWS)
        return blocked_moments(features, beta, blocks, reference, Assignment(hard=step.hard))

    return jax.jvp(blocked, primals, tangents)


@functools.cache
def _grouped(step: Step) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """The step of r lanes on each of g sets of rows: moments f[g, r, k, p] and totals f[g, r] of
    beta f[g, r, k, p], rows f[g, a, n], weight f[g, r or 1, n] and reference f[g, r].

    Any nesting of `vmap` ends here: an axis of the rows becomes groups, any other becomes lanes.
    """

    @custom_vmap
    def grouped(beta, rows, weight, reference):
        return _launch(step, beta, rows, weight, reference)

    @grouped.def_vmap
    def _(size, batched, *arrays):
        arrays = [
            a if one else jnp.broadcast_to(a, (size, *a.shape))
            for one, a in zip(batched, arrays, strict=True)
        ]
        groups, lanes = arrays[0].shape[1:3]
        if batched[1]:
            out = grouped(*(a.reshape(size * groups, *a.shape[2:]) for a in arrays))
            return tuple(a.reshape(size, groups, *a.shape[1:]) for a in out), (True, True)
        beta, rows, weight, reference = arrays
        common = not batched[2] and weight.shape[2] == 1
        weight = weight[0] if common else _as_lanes(weight, lanes)
        out = grouped(_as_lanes(beta, lanes), rows[0], weight, _as_lanes(reference, lanes))
        parts = (a.reshape(groups, size, lanes, *a.shape[2:]) for a in out)
        return tuple(jnp.moveaxis(a, 1, 0) for a in parts), (True, True)

    return grouped


def _as_lanes(a, lanes: int):
    """f[s, g, r or 1, ...] as f[g, s·r, ...]."""
    a = jnp.moveaxis(a, 0, 1)
    a = jnp.broadcast_to(a, (*a.shape[:2], lanes, *a.shape[3:]))
    return a.reshape(a.shape[0], -1, *a.shape[3:])


def _launch(step: Step, beta, rows, weight, reference):
    """Pad to whole tiles, run the kernel where it is at home, cut off; shapes as in `_grouped`."""
    groups, lanes, k, p = beta.shape
    tile = plan(k, p, lanes, beta.dtype)
    if tile is None:
        raise ValueError(
            f"kernel='fused' has no room on chip for {k} components of {p} features in "
            f"{beta.dtype}; use kernel='blocked'."
        )
    spare, extra = -lanes % tile.lanes, padded_rows(rows.shape[2]) - rows.shape[2]
    beta = jnp.pad(beta, ((0, 0), (0, 0), (0, tile.components - k), (0, tile.features - p)))
    beta = beta.at[:, :, k:, 0].set(NEGLIGIBLE)
    beta = jnp.pad(beta, ((0, 0), (0, spare), (0, 0), (0, 0)))
    reference = jnp.pad(reference, ((0, 0), (0, spare)))
    rows = jnp.pad(rows, ((0, 0), (0, 0), (0, extra)))
    own = weight.shape[1] > 1
    weight = jnp.pad(weight, ((0, 0), (0, spare if own else 0), (0, extra)))

    tiles = (-1, tile.lanes)
    beta, reference = beta.reshape(*tiles, *beta.shape[2:]), reference.reshape(tiles)
    weight = weight.reshape(*tiles, weight.shape[2]) if own else weight
    call = partial(_call, step, tile)
    moments, total = jax.lax.platform_dependent(
        *(beta, rows, weight, reference),
        cuda=partial(call, "cuda"),
        rocm=partial(call, "rocm"),
        default=partial(call, None),
    )
    moments = moments.reshape(groups, lanes + spare, *moments.shape[2:])
    return moments[:, :lanes, :k, :p], total.reshape(groups, -1)[:, :lanes]


def _call(step: Step, tile: Tile, platform: str | None, beta, rows, weight, reference):
    """Moments f[t, l, k, p] and totals f[t, l] of t tiles of l lanes: beta f[t, l, k, p],
    rows f[g, a, n], weight f[g, 1, n] or f[t, l, n], reference f[t, l]; g divides t. Interpreted
    where the kernel is written for no platform."""
    count, lanes, k, p = beta.shape
    chunks, length = row_layout(rows.shape[2])
    plain = tile.path == "plain"
    # Plain: a list over features of [lanes, k]. Dot: one matrix of all columns.
    beta = jnp.moveaxis(beta, 3, 1) if plain else beta.reshape(count, lanes * k, p)
    inputs = [beta, reference, rows, weight]
    cut = None if plain else length
    specs = [_whole(beta), _whole(reference), _rows(rows, count, cut), _rows(weight, count, cut)]
    if platform is None and not plain:
        step = step._replace(precision="float32")
    body = partial(plain_program if plain else dot_program, Program(step, tile, length, platform))
    if not plain:
        pairs = np.zeros((2, p), np.int32)
        pairs[:, : len(step.pairs)] = np.asarray(step.pairs).T
        inputs += [jnp.asarray(pairs)]
        specs += [pl.BlockSpec((2, p), lambda t, c: (0, 0))]
    moments, total = pl.pallas_call(
        body,
        grid=(count, chunks),
        in_specs=specs,
        out_specs=[_partial(beta), _partial(reference)],
        out_shape=[
            jax.ShapeDtypeStruct((count, chunks, *a.shape[1:]), a.dtype) for a in (beta, reference)
        ],
        interpret=platform is None,
        compiler_params=triton.CompilerParams(num_warps=tile.warps, num_stages=1),
        name=f"softmax_moments_{tile.path}",
    )(*inputs)
    moments, total = jnp.sum(moments, axis=1), jnp.sum(total, axis=1)
    return jnp.moveaxis(moments, 1, 3) if plain else moments.reshape(count, lanes, k, p), total


def _whole(a) -> pl.BlockSpec:
    """The tile's own part of an array that leads with tiles."""
    return pl.BlockSpec((None, *a.shape[1:]), lambda t, c: (t,) + (0,) * (a.ndim - 1))


def _partial(a) -> pl.BlockSpec:
    """The program's own part of sums like `a`, which leads with tiles."""
    return pl.BlockSpec((None, None, *a.shape[1:]), lambda t, c: (t, c) + (0,) * (a.ndim - 1))


def _rows(a, tiles: int, length: int | None) -> pl.BlockSpec:
    """The tile's own rows of an array f[g, ., n] whose groups hold equally many tiles: the chunk's
    `length`, or without it all of them."""
    # One group is named by the number 0, so that the compiler knows where its rows begin.
    per = np.int32(tiles // a.shape[0])
    group = (lambda t: 0) if a.shape[0] == 1 else (lambda t: jax.lax.div(t, per))
    if length is None:
        return pl.BlockSpec((None, *a.shape[1:]), lambda t, c: (group(t), 0, 0))
    return pl.BlockSpec((None, a.shape[1], length), lambda t, c: (group(t), 0, c))
