"""The body of one program of the fused kernel, of operations that Pallas compiles for a GPU.

A program reads the coefficients of its tile, the reference levels f[l], and its chunk of the rows
f[a, m] and weights f[l or 1, m]. It writes its sums and Σ w (logsumexp − reference) f[l].
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl

from jaxem.kernels.fused.arithmetic import Arithmetic, arithmetic
from jaxem.kernels.fused.tiling import Pairs, Tile
from jaxem.numerics import einsum


class Step(NamedTuple):
    """Static settings: part of the program, not of its data."""

    pairs: Pairs
    hard: bool
    precision: str


class Program(NamedTuple):
    """Static settings of one program."""

    step: Step
    tile: Tile
    length: int  # rows of its chunk
    platform: str | None  # None: interpreted


def plain_program(own: Program, beta_ref, level_ref, rows_ref, weight_ref, out, total):
    """The plain path: a sum f[l, k, m] per feature, added up over m at the very end.

    beta f[p, l, k]; all rows f[a, n], of which `own.length` are the program's chunk. With m last, a
    thread keeps all columns of its row. Where a row has too many columns for one thread, threads
    of the same warp share them: the softmax exchanges two numbers in registers, and there is no
    barrier in the loop. φ is never made: Σ β_ij a_i a_j is Σ_i a_i (β_0i + Σ_j β_ij a_j).
    """
    step, tile, length, _ = own
    beta = [beta_ref[p][:, :, None] for p in range(tile.features)]
    level, terms = level_ref[:][:, None], terms_of(step.pairs)
    do = arithmetic(own.platform == "cuda", beta_ref.dtype)
    begin = pl.program_id(1) * np.int32(length)
    shape = tile.lanes, tile.components, tile.rows

    def load(at):
        rows = pl.ds(_bounded(begin + at * np.int32(tile.rows), rows_ref), tile.rows)
        return [rows_ref[atom - 1, rows] for atom in terms.used], weight_ref[:, rows]

    def block(piece, carry):
        atoms = {a: row[None, None, :] for a, row in zip(terms.used, piece[0], strict=True)}
        logits = _logits(terms, beta, atoms, shape, do)
        r, height = _responsibilities(logits, piece[1], level, step.hard, do)
        return _added(terms, carry[0], r, atoms, do), do.multiply_add(piece[1], height, carry[1])

    def load_turn(at):
        return [load(at * np.int32(tile.turns) + np.int32(i)) for i in range(tile.turns)]

    def turn(at, carry):
        pieces, sums = carry
        # Loaded one turn ahead, so that the wait for memory overlaps with arithmetic.
        coming = load_turn(jnp.minimum(at + np.int32(1), turns - np.int32(1)))
        for piece in pieces:
            sums = block(piece, sums)
        return coming, sums

    turns = np.int32(length // (tile.rows * tile.turns))
    start = [jnp.zeros(shape, beta_ref.dtype)] * tile.features, _zero_level(tile, beta_ref)
    start = load_turn(np.int32(0)), start
    _, (sums, value) = jax.lax.fori_loop(np.int32(0), turns, turn, start)
    for p, moment in enumerate(sums):
        out[p] = jnp.sum(moment, axis=2)
    total[:] = jnp.sum(value, axis=1)


class Terms(NamedTuple):
    """Places of the features by kind: the constant, a_i alone, and products a_i a_j by i."""

    constant: int | None
    linear: dict[int, int]
    products: dict[int, list[tuple[int, int]]]  # i: (j, place of a_i a_j)
    used: list[int]  # atoms that occur


def terms_of(pairs: Pairs) -> Terms:
    """The pairs of atoms by kind. ValueError where a pair occurs twice."""
    if len({tuple(sorted(pair)) for pair in pairs}) < len(pairs):
        raise ValueError(f"products of a family must differ from one another; got {pairs}.")
    constant, linear, products = None, {}, {}
    for place, (i, j) in enumerate(pairs):
        if i == 0 == j:
            constant = place
        elif i == 0 or j == 0:
            linear[i + j] = place
        else:
            products.setdefault(i, []).append((j, place))
    used = sorted({atom for pair in pairs for atom in pair if atom > 0})
    return Terms(constant, linear, products, used)


def _bounded(start, rows_ref):
    """`start` with its upper bits cleared, which are 0 already: the compiler then knows that no
    address overflows, and computes one address for all columns."""
    small = rows_ref.shape[0] * rows_ref.shape[1] < 1 << 29
    return start & np.int32((1 << 29) - 1) if small else start


def _logits(terms: Terms, beta, atoms, shape, do: Arithmetic):
    """β φ f[l, k, m]."""
    first = jnp.zeros((1, 1, 1), beta[0].dtype) if terms.constant is None else beta[terms.constant]
    logits = jnp.broadcast_to(first, shape)
    for i in terms.used:
        inner = beta[terms.linear[i]] if i in terms.linear else None
        for j, place in terms.products.get(i, ()):
            factors = beta[place], atoms[j]
            inner = factors[0] * factors[1] if inner is None else do.multiply_add(*factors, inner)
        if inner is not None:
            logits = do.multiply_add(inner, atoms[i], logits)
    return logits


def _added(terms: Terms, sums, r, atoms, do: Arithmetic):
    """The sums with r φ."""
    sums = list(sums)
    if terms.constant is not None:
        sums[terms.constant] += r
    for i in terms.used:
        part = r * atoms[i]
        if i in terms.linear:
            sums[terms.linear[i]] += part
        for j, place in terms.products.get(i, ()):
            sums[place] = do.multiply_add(part, atoms[j], sums[place])
    return sums


def dot_program(own: Program, beta_ref, level_ref, rows_ref, weight_ref, pairs_ref, out, total):
    """The dot path, two matrix products over all columns of the tile: beta f[l·k, p], sums
    f[l·k, p]."""
    step, tile, length, platform = own
    dot = partial(einsum, precision=step.precision)
    do = arithmetic(platform == "cuda", beta_ref.dtype)
    beta, level = beta_ref[:, :], level_ref[:][:, None]
    i, j = pairs_ref[0, :][:, None], pairs_ref[1, :][:, None]
    shape = tile.lanes, tile.components, tile.rows

    def atom(index, rows):
        return jnp.where(index > 0, rows_ref[jnp.maximum(index - 1, 0), rows], 1)

    def block(at, carry):
        sums, value = carry
        start = at * np.int32(tile.rows)
        rows = (start + jnp.arange(tile.rows, dtype=jnp.int32))[None, :]
        phi = atom(i, rows) * atom(j, rows)
        logits = dot("cp,pm->cm", beta, phi).reshape(shape)
        w = weight_ref[:, pl.ds(start, tile.rows)]
        r, height = _responsibilities(logits, w, level, step.hard, do)
        more = dot("cm,pm->cp", r.reshape(beta.shape[0], tile.rows), phi)
        return sums + more, value + w * height

    start = jnp.zeros_like(beta), _zero_level(tile, beta_ref)
    turns = np.int32(length // tile.rows)
    out[:, :], value = jax.lax.fori_loop(np.int32(0), turns, block, start)
    total[:] = jnp.sum(value, axis=1)


def _zero_level(tile: Tile, beta_ref):
    return jnp.zeros((tile.lanes, tile.rows), beta_ref.dtype)


def _responsibilities(logits, w, level, hard: bool, do: Arithmetic):
    """w · softmax over the middle axis of f[l, k, m], and logsumexp − level f[l, m]."""
    top = jnp.max(logits, axis=1)
    if hard:
        best = jax.lax.argmax(logits, 1, jnp.int32)
        number = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 1)
        return jnp.where(number == best[:, None, :], w[:, None, :], 0), top - level
    e = do.exp_nonpositive(logits - top[:, None, :])
    s = jnp.sum(e, axis=1)
    return e * (w * do.inverse(s))[:, None, :], (top - level) + do.log(s)
