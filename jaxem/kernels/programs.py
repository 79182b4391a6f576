"""What one program of the fused kernel does: only what Pallas can hand to a GPU compiler.

A program sees the coefficients of its tile, the reference levels f[l], and its chunk of the rows
f[a, m] and weights f[l or 1, m]; it writes its sums and Σ w (logsumexp − reference) f[l].
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl

from jaxem.kernels.tiles import Tile
from jaxem.numerics import einsum

#: Pairs of atoms, one pair per feature.
Pairs = tuple[tuple[int, int], ...]


class Step(NamedTuple):
    """What is part of the program, not of its data."""

    pairs: Pairs
    hard: bool
    precision: str


def plain_program(step: Step, tile: Tile, beta_ref, level_ref, rows_ref, weight_ref, out, total):
    """Products written out: a sum f[l, k, m] per feature, added up over m at the very end.

    beta f[p, l, k]. With m minor and as wide as a warp, a thread keeps whole columns of its row:
    the softmax needs no exchange between threads, and the coefficients stay in registers.
    """
    beta = [beta_ref[p][:, :, None] for p in range(tile.features)]
    level = level_ref[:][:, None]
    used = sorted({atom for pair in step.pairs for atom in pair if atom > 0})
    shape = tile.lanes, tile.components, tile.rows

    def block(at, carry):
        sums, value = carry
        rows = pl.ds(at * np.int32(tile.rows), tile.rows)
        atoms = {atom: rows_ref[atom - 1, rows] for atom in used}
        phi = [_written_out(atoms, *pair) for pair in step.pairs]
        logits = jnp.zeros(shape, beta_ref.dtype)
        for one, feature in zip(beta, phi, strict=True):
            logits = logits + (one if feature is None else one * feature)
        r, more = _responsibilities(logits, weight_ref[:, rows], level, step.hard)
        parts = [r if feature is None else r * feature for feature in phi]
        return [a + b for a, b in zip(sums, parts, strict=True)], value + more

    start = [jnp.zeros(shape, beta_ref.dtype)] * tile.features, _zero_level(tile, beta_ref)
    sums, value = _over_rows(tile, rows_ref, block, start)
    for p, one in enumerate(sums):
        out[p] = jnp.sum(one, axis=2)
    total[:] = jnp.sum(value, axis=1)


def dot_program(
    step: Step, tile: Tile, beta_ref, level_ref, rows_ref, weight_ref, pairs_ref, out, total
):
    """Two matrix products, both of true width: beta f[l·k, p], sums f[l·k, p]."""
    dot = partial(einsum, precision=step.precision)
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
        r, more = _responsibilities(logits, w, level, step.hard)
        return sums + dot("cm,pm->cp", r.reshape(beta.shape[0], tile.rows), phi), value + more

    start = jnp.zeros_like(beta), _zero_level(tile, beta_ref)
    out[:, :], value = _over_rows(tile, rows_ref, block, start)
    total[:] = jnp.sum(value, axis=1)


def _over_rows(tile: Tile, rows_ref, block, start):
    """`block(number, carry)` over the chunk, a few rows at a time."""
    steps = rows_ref.shape[1] // tile.rows
    return jax.lax.fori_loop(np.int32(0), np.int32(steps), block, start)


def _zero_level(tile: Tile, beta_ref):
    return jnp.zeros((tile.lanes, tile.rows), beta_ref.dtype)


def _written_out(atoms, i: int, j: int):
    """a_i a_j f[1, 1, m]; None for the constant 1."""
    factors = [atoms[atom] for atom in (i, j) if atom > 0]
    if not factors:
        return None
    return (factors[0] if len(factors) == 1 else factors[0] * factors[1])[None, None, :]


def _exp_nonpositive(x):
    """exp(x) for x <= 0, absolute error within 6e-8 in float32: three instructions where the
    library's takes nine, a third of all that the loop does for few features."""
    if x.dtype != jnp.float32:
        return jnp.exp(x)
    return jnp.exp2(x * np.float32(np.log2(np.e)))


def _responsibilities(logits, w, level, hard: bool):
    """w · softmax over the middle axis of f[l, k, m], and w (logsumexp − level) f[l, m]."""
    top = jnp.max(logits, axis=1)
    if hard:
        best = jax.lax.argmax(logits, 1, jnp.int32)
        number = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 1)
        r = jnp.where(number == best[:, None, :], w[:, None, :], 0)
        return r, w * (top - level)
    e = _exp_nonpositive(logits - top[:, None, :])
    s = jnp.sum(e, axis=1)
    return e * (w / s)[:, None, :], w * ((top - level) + jnp.log(s))
