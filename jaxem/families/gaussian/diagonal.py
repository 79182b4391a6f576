"""Diagonal covariance: φ(x) = [1, x, x²]."""

from typing import ClassVar

import jax.numpy as jnp

from jaxem.core.constraints import Constraint, Positive
from jaxem.core.trees import pytree
from jaxem.families.gaussian import variances
from jaxem.families.gaussian.params import as_vector, linear_products, linear_rows
from jaxem.families.gaussian.structure import Form
from jaxem.numerics import safe_divide, stack_rows


@pytree
class Diagonal:
    """Independent features, variances f[k, d] (mclust VVI)."""

    name: ClassVar[str] = "diag"
    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = variances
    constraint: ClassVar[Constraint] = Positive()

    def features(self, x):
        """φ f[1 + 2d, n]."""
        return stack_rows([*linear_rows(x), x.T**2])

    def products(self, d):
        """φ as products of the atoms [1, x]."""
        return (*linear_products(d), *((i, i) for i in range(1, d + 1)))

    def coefficients(self, params):
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        return jnp.concatenate(variances.coefficients(params), axis=1)

    def blank(self, k, d, dtype):
        """Zeros f[k, d]."""
        return jnp.zeros((k, d), dtype)

    def update(self, stats, means, old, prior, ridge):
        """Weighted variances f[k, d], or those of the posterior mode."""
        d = means.shape[-1]
        moments = stats.moments
        count, first, second = moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1 :]
        squares = second - 2 * means * first + count[:, None] * means**2
        total = count
        if prior is not None:
            gap = means - prior.mean[None, :]
            scale = as_vector(prior.scale, d, means.dtype)
            squares = squares + prior.shrinkage * gap**2 + scale[None, :]
            total = total + prior.dof + 3
        return safe_divide(squares, total[:, None], old) + ridge[None]

    def n_free(self, k, d):
        """A variance for each feature of each component."""
        return k * d

    def min_rows(self, d):
        """2: two different rows have a variance in every feature."""
        return 2

    def healthy(self, params, stats):
        """b[k]: every variance is above rounding of the second moments."""
        d = params.means.shape[-1]
        moments = stats.moments
        second = safe_divide(moments[:, d + 1 :], moments[:, :1], params.covariances)
        above = jnp.all(variances.above_rounding(params.covariances, second), axis=-1)
        return variances.usable(params) & above
