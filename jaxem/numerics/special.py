"""Logarithms of large counts without cancellation (Loader 2000, Fast and Accurate Computation of
Binomial Probabilities): the saddle-point form of x log λ − λ − log x! keeps digits that the sum
loses."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from jaxem.numerics.safe import NEGLIGIBLE, safe_log

#: Terms of the series of 2 artanh(r) − 2r, enough for float64 where |t| < 1/2.
TERMS = 17

#: Counts below this have their Stirling error in a table, larger ones in a series.
TABLED = 16
_HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
#: log n! less Stirling's formula, n = 0 .. 15; 0 at n = 0, where the formula is not used.
_ERRORS = np.array(
    [0.0]
    + [
        float(np.sum(np.log(np.arange(1.0, n + 1))) - (n + 0.5) * np.log(n) + n - _HALF_LOG_2PI)
        for n in range(1, TABLED)
    ]
)


def log1p_minus(t: jax.Array) -> jax.Array:
    """log(1 + t) − t to full relative precision, also near 0, and `NEGLIGIBLE` where t <= −1."""
    near = jnp.abs(t) < 0.5
    small = jnp.where(near, t, 0)
    r = small / (2 + small)
    square, series = r * r, jnp.zeros_like(r)
    for j in range(TERMS, 0, -1):
        series = square * (series + 1 / (2 * j + 1))
    far = jnp.where(near | (t <= -1), 0, t)
    direct = jnp.where(t <= -1, NEGLIGIBLE, jnp.log1p(far) - far)
    return jnp.where(near, r * (2 * series - small), direct)


def safe_log1p(t: jax.Array) -> jax.Array:
    """log(1 + t), and the finite `NEGLIGIBLE` where t <= −1; its gradient there is 0, not NaN."""
    inside = t > -1
    return jnp.where(inside, jnp.log1p(jnp.where(inside, t, 0)), NEGLIGIBLE)


def stirling_error(n: jax.Array) -> jax.Array:
    """log n! − [½ log(2πn) + n log n − n] for n > 0, and 0 at n = 0."""
    large = n >= TABLED
    inverse = 1 / jnp.where(large, n, TABLED)
    square = inverse * inverse
    series = inverse * (
        1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))
    )
    index = jnp.clip(n, 0, TABLED - 1).astype(jnp.int32)
    table = jnp.asarray(_ERRORS, n.dtype)[index]
    middle = jnp.where(large | (n <= 0), 1, n)  # n between whole numbers, which no count is
    other = gammaln(middle + 1) - (middle + 0.5) * jnp.log(middle) + middle - _HALF_LOG_2PI
    return jnp.where(large, series, jnp.where(index == n, table, other))


def deviance(x: jax.Array, gap: jax.Array) -> jax.Array:
    """x log(x/m) + m − x with m = x + gap: half the deviance of a count x of mean m. It is m at
    x = 0, and −`NEGLIGIBLE` where m is 0 and x is not."""
    positive = x > 0
    ratio = gap / jnp.where(positive, x, 1)
    return jnp.where(positive, jnp.minimum(-x * log1p_minus(ratio), -NEGLIGIBLE), gap)


def count_part(x: jax.Array) -> jax.Array:
    """Stirling's error plus ½ log 2πx: log x! is this plus x log x − x; 0 at x = 0."""
    return jnp.where(x > 0, stirling_error(x) + _HALF_LOG_2PI + 0.5 * safe_log(x), 0)
