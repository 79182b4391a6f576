"""Small symmetric factorisations in plain array operations, the batch on the last axis.

LAPACK is not used in compiled loops: on the CPU its threaded calls, one per matrix, may stall one
another. (Where they did not, 512 inverses took 0.6 of the time of these operations at d = 32, and
2.4 times as long at d = 64.) Here small matrices are eliminated with the batch on the last axis, so
that every operation runs over the whole batch at once, and larger matrices are halved until they
are small. Nothing raises: a flag tells where a matrix is singular.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.numerics.batch_last import batch_minor
from jaxem.numerics.contraction import einsum

#: Elimination is unrolled up to the first size. Up to the second, a CPU runs the same steps in a
#: loop, which compiles in a fraction of the time; an accelerator, which would start several GPU
#: kernels in every turn of a loop, runs them unrolled. Larger matrices are halved.
UNROLLED, LOOPED = 4, 16


@jax.custom_jvp
def inverse_factor(matrix: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """W = L⁻¹ of the Cholesky factor L of each matrix f[..., d, d], log det, and a health flag.

    Returns W f[..., d, d] (lower triangular, Wᵀ W = matrix⁻¹), log|matrix| f[...] and ok b[...].
    Where a pivot vanishes to rounding, ok is False, and W and log det are finite but meaningless.
    """
    return _inverse_factor(matrix)


@inverse_factor.defjvp
def _(primals, tangents):
    (matrix,), (dot,) = primals, tangents
    w, log_det, ok = inverse_factor(matrix)
    # L⁻¹ dΣ L⁻ᵀ = P; dL = L Φ(P), Φ the lower half with half the diagonal (Murray 2016, eq. 8).
    p = einsum("...ij,...jk,...lk->...il", w, 0.5 * (dot + dot.swapaxes(-1, -2)), w)
    half = jnp.tril(p, -1) + 0.5 * p * jnp.eye(p.shape[-1], dtype=p.dtype).reshape(
        (1,) * (p.ndim - 2) + p.shape[-2:]
    )
    trace = jnp.trace(p, axis1=-2, axis2=-1)
    no_tangent = jnp.zeros(ok.shape, jax.dtypes.float0)
    return (w, log_det, ok), (-einsum("...ij,...jk->...ik", half, w), trace, no_tangent)


def cholesky(matrix: jax.Array) -> jax.Array:
    """The lower factor L f[..., d, d] of each matrix, as matrix · Wᵀ with W = L⁻¹."""
    return jnp.tril(einsum("...ij,...kj->...ik", matrix, inverse_factor(matrix)[0]))


def eliminate(matrix: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`inverse_factor` of f[d, d, b], batch last, without derivatives: W f[d, d, b], log det
    f[b] and ok b[b]."""
    d = matrix.shape[0]
    floor = 8 * d * jnp.finfo(matrix.dtype).eps * matrix[np.arange(d), np.arange(d)]
    if d <= LOOPED:
        return _small(matrix, floor)
    w, log_det, ok = _halved(jnp.moveaxis(matrix, -1, 0), floor.T)
    return jnp.moveaxis(w, 0, -1), log_det, ok


_eliminate = batch_minor(eliminate)


def _inverse_factor(matrix):
    batch = matrix.shape[:-2]
    w, log_det, ok = _eliminate(matrix.reshape((-1, *matrix.shape[-2:])))
    return w.reshape(matrix.shape), log_det.reshape(batch), ok.reshape(batch)


def _small(a, floor):
    if a.shape[0] <= UNROLLED:
        return _unrolled(a, floor)
    return jax.lax.platform_dependent(a, floor, cpu=_looped, default=_unrolled)


def _halved(a, floor):
    """[[A, Bᵀ], [B, C]]: L⁻¹ from those of A and of the Schur complement C − X Xᵀ, X = B L_A⁻ᵀ.

    a f[b, d, d]. Halving ends at size `LOOPED`, so that a large matrix is a few batched products.
    """
    d = a.shape[-1]
    if d <= LOOPED:
        w, log_det, ok = _small(jnp.moveaxis(a, 0, -1), floor.T)
        return jnp.moveaxis(w, -1, 0), log_det, ok
    h = (d + 1) // 2
    w_top, log_det_top, ok_top = _halved(a[:, :h, :h], floor[:, :h])
    x = einsum("bij,bkj->bik", a[:, h:, :h], w_top)
    schur = a[:, h:, h:] - einsum("bij,bkj->bik", x, x)
    w_low, log_det_low, ok_low = _halved(schur, floor[:, h:])
    corner = -einsum("bij,bjk->bik", w_low, einsum("bij,bjk->bik", x, w_top))
    top = jnp.pad(w_top, ((0, 0), (0, 0), (0, d - h)))
    w = jnp.concatenate([top, jnp.concatenate([corner, w_low], axis=2)], axis=1)
    return w, log_det_top + log_det_low, ok_top & ok_low


def _unrolled(a, floor):
    """Gauss elimination on [Σ | I], batch last f[d, d, b]: row j of w becomes row j of L⁻¹."""
    d, _, b = a.shape
    log_det, ok = jnp.zeros((b,), a.dtype), jnp.ones((b,), bool)
    w = jnp.broadcast_to(jnp.eye(d, dtype=a.dtype)[:, :, None], (d, d, b))
    rows = []
    for j in range(d):
        scale, good = _pivot(a[0, 0], floor[j])
        ok, log_det = ok & good, log_det - 2 * jnp.log(scale)
        column = a[0, 1:] * scale[None, :]  # below the diagonal of L; a stays symmetric
        rows.append(w[0] * scale[None, :])
        a = a[1:, 1:] - column[:, None, :] * column[None, :, :]
        w = w[1:] - column[:, None, :] * rows[-1][None, :, :]
    return jnp.stack(rows), log_det, ok


def _looped(a, floor):
    """The same in one table f[d, d, b]: after step j its columns up to j belong to w, the others
    to the part of Σ that is not eliminated yet.

    Pivots are kept, and judged after the loop. So the loop is the same whether its caller uses W,
    the determinant or the flag, and a program with several callers has the loop once. Masks and
    indices are constants for the same reason: XLA would move an iota out of each caller's loop, and
    the loops would differ.
    """
    d, _, b = a.shape
    number = np.arange(d)

    def step(j, carry):
        table, pivots = carry
        here, below = number == j, number > j
        pivot = table[j, j]
        scale = _pivot(pivot, floor[j])[0]
        row = jnp.where(here[:, None], 1, table[j]) * scale[None, :]
        column = table[:, j] * scale[None, :]
        left = jnp.where(here[None, :, None], 0, table) - column[:, None, :] * row[None, :, :]
        table = jnp.where(below[:, None, None], left, table)
        table = jnp.where(here[:, None, None], row[None], table)
        return table, jnp.where(here[:, None], pivot[None, :], pivots)

    table, pivots = jax.lax.fori_loop(0, d, step, (a, jnp.zeros((d, b), a.dtype)))
    scale, good = _pivot(pivots, floor)
    lower = np.tri(d, dtype=bool)[:, :, None]
    log_det = jnp.sum(-2 * jnp.log(scale), axis=0)
    return jnp.where(lower, table, 0), log_det, jnp.all(good, axis=0)


def _pivot(pivot, floor):
    """1 / √pivot, and whether the pivot is above the rounding error `floor`; 1 where it is not."""
    good = pivot > floor
    return jax.lax.rsqrt(jnp.where(good, pivot, 1)), good
