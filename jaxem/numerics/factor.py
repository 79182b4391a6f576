"""Small symmetric factorisations in plain array operations, the batch minor, never raising.

LAPACK stays out of compiled loops: on the CPU its threaded calls, one per matrix, stall one
another. Here the d columns are unrolled and every operation runs over the whole batch at once.
"""

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from jaxem.numerics.precision import einsum


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


@custom_vmap
def _inverse_factor(matrix):
    d = matrix.shape[-1]
    batch = matrix.shape[:-2]
    a = jnp.moveaxis(matrix.reshape((-1, d, d)), 0, -1)  # f[d, d, b]
    diagonal = jnp.stack([a[j, j] for j in range(d)])
    floor = 8 * d * jnp.finfo(a.dtype).eps * diagonal
    w, log_det, ok = (_looped if d > 12 else _unrolled)(a, floor)
    shape = (*batch, d, d)
    return jnp.moveaxis(w, -1, 0).reshape(shape), log_det.reshape(batch), ok.reshape(batch)


@_inverse_factor.def_vmap
def _(axis_size, in_batched, matrix):
    del axis_size, in_batched
    return _inverse_factor(matrix), (True, True, True)


def _eliminate(j, a, w, log_det, ok, floor):
    """One column of Gauss elimination on [Σ | I]: afterwards row j of w is row j of L⁻¹."""
    pivot = a[j, j]
    good = pivot > floor[j]
    ok = ok & good
    scale = jax.lax.rsqrt(jnp.where(good, pivot, 1))
    row = a[j] * scale[None, :]  # f[d, b], the j-th column of L (a stays symmetric)
    w_row = w[j] * scale[None, :]
    return row, w_row, log_det - 2 * jnp.log(scale), ok


def _unrolled(a, floor):
    d, _, b = a.shape
    log_det, ok = jnp.zeros((b,), a.dtype), jnp.ones((b,), bool)
    w = jnp.broadcast_to(jnp.eye(d, dtype=a.dtype)[:, :, None], (d, d, b))
    rows = []
    for j in range(d):
        row, w_row, log_det, ok = _eliminate(0, a, w, log_det, ok, floor[j:])
        rows.append(w_row)
        below = row[1:]
        a = a[1:, 1:] - below[:, None, :] * below[None, :, :]
        w = w[1:] - below[:, None, :] * w_row[None, :, :]
    return jnp.stack(rows), log_det, ok


def _looped(a, floor):
    d, _, b = a.shape
    w = jnp.broadcast_to(jnp.eye(d, dtype=a.dtype)[:, :, None], (d, d, b))

    def body(j, carry):
        a, w, log_det, ok = carry
        row, w_row, log_det, ok = _eliminate(j, a, w, log_det, ok, floor)
        below = jnp.where((jnp.arange(d) > j)[:, None], row, 0)
        a = a - below[:, None, :] * below[None, :, :]
        w = (w - below[:, None, :] * w_row[None, :, :]).at[j].set(w_row)
        return a, w, log_det, ok

    start = a, w, jnp.zeros((b,), a.dtype), jnp.ones((b,), bool)
    return jax.lax.fori_loop(0, d, body, start)[1:]
