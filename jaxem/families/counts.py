"""What families of counts share: where to expand about a base point, and what rounding then costs.

log p(x|k) is a small difference of large terms when counts are large. About a base point b near
all rates its terms are small; but where some counts lie far below b, so may rates, and an expansion
about b loses there what it gains elsewhere. Such columns are left as they are, and `condition` says
how many digits they lose.
"""

from typing import Any

import jax
import jax.numpy as jnp

#: Means from which counts are expanded about a base point.
LARGE = 8

#: Counts below this share of the base point keep their column as it is.
SHARE = 1 / 16

#: Condition of a component per unit of its largest term. Rounding of a coefficient is the same for
#: all rows, so it does not average out; this puts the limit of `jaxem.refine` at terms of some 300.
WEIGHT = 32


def base_point(mean: Any) -> Any:
    """Whole numbers near the means f[..., d], so that differences of counts from them are exact;
    0 where the mean is small. NumPy and JAX arrays alike."""
    return mean.round() * (mean >= LARGE)


def far_below(x: Any, base: Any) -> Any:
    """b[..., d]: counts so far below the base point that a rate there might be."""
    return x < SHARE * base


def condition(terms: jax.Array) -> jax.Array:
    """Roundings f[k] that logits can lose by their terms f[k, d]: by the largest, because errors of
    columns are as often up as down."""
    return WEIGHT * jnp.max(terms, axis=1)
