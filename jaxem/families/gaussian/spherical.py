"""One variance per component: φ(x) = [1, x, |x|²]."""

from typing import ClassVar

import jax.numpy as jnp

from jaxem.core.constraints import Constraint, Positive
from jaxem.core.trees import pytree
from jaxem.families.gaussian import variances
from jaxem.families.gaussian.params import linear_rows
from jaxem.families.gaussian.structure import Form
from jaxem.numerics import safe_divide, stack_rows


@pytree
class Spherical:
    """One variance per component, f[k] (mclust VII)."""

    name: ClassVar[str] = "spherical"
    scale_kind: ClassVar[str] = "scalar"
    form: ClassVar[Form] = variances
    constraint: ClassVar[Constraint] = Positive()

    def features(self, x):
        """φ f[2 + d, n]."""
        return stack_rows([*linear_rows(x), jnp.sum(x.T**2, axis=0, keepdims=True)])

    def products(self, d):
        """Empty: |x|² is a sum of products."""
        return ()

    def coefficients(self, params):
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        constant, linear, square = variances.coefficients(params)
        return jnp.concatenate([constant, linear, square[:, :1]], axis=1)

    def blank(self, k, d, dtype):
        """Zeros f[k]."""
        return jnp.zeros((k,), dtype)

    def update(self, stats, means, old, prior, ridge):
        """Weighted mean variances f[k], or those of the posterior mode."""
        d = means.shape[-1]
        moments = stats.moments
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1]
        square = second + jnp.sum(means * (count[:, None] * means - 2 * first), axis=-1)
        total = d * count
        if prior is not None:
            gap = means - prior.mean[None, :]
            square = square + prior.shrinkage * jnp.sum(gap**2, axis=-1) + prior.scale
            total = total + prior.dof + d + 2
        return safe_divide(square, total, old) + ridge[:1]

    def n_free(self, k, d):
        """A variance for each component."""
        return k

    def min_rows(self, d):
        """2: two different rows have a variance."""
        return 2

    def healthy(self, params, stats):
        """b[k]: the variance is above rounding of the second moments."""
        d = params.means.shape[-1]
        second = safe_divide(stats.moments[:, d + 1], stats.moments[:, 0], params.covariances)
        return variances.usable(params) & variances.above_rounding(params.covariances, second)
