"""The sums over rows that covariances are estimated from: which features they are sums of, the
coefficients of these features, and the scatter about the new means."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxem.core.protocols import Statistics
from jaxem.families.gaussian import matrices, quadratic_form, variances
from jaxem.families.gaussian.params import GaussianParams, linear_rows, outer, square_rows, unpack
from jaxem.families.gaussian.priors import Prior
from jaxem.numerics import einsum, safe_divide, stack_rows


@dataclass(frozen=True)
class Sums:
    """What an M-step knows when it comes to the covariances."""

    stats: Statistics
    means: jax.Array  # f[k, d], updated
    prior: Prior | None


@dataclass(frozen=True)
class Scatter:
    """The M-step of covariances Σ: the maximum of −½ Σ_k (count_k log|Σ_k| + tr Σ_k⁻¹ total_k).
    With a prior it is the posterior mode, after Fraley and Raftery (2007)."""

    total: jax.Array  # f[k, d, d], f[k, d] or f[k]; f[d, d] where one matrix serves all components
    count: jax.Array  # weights, in a shape that divides `total`

    def mean(self, otherwise: jax.Array) -> jax.Array:
        """The maximum, total / count; `otherwise` where nothing is counted."""
        return safe_divide(self.total, self.count, otherwise)


class CommonMatrix:
    """φ(x) = [1, x] and ψ(x) = [1, vech(x xᵀ)]: one matrix for all components.

    −½ xᵀΛx is the same for all components and leaves the softmax; its sum over rows is one inner
    product with the total scatter, which no iteration changes.
    """

    def features(self, x: jax.Array) -> jax.Array:
        """φ f[1 + d, n]."""
        return stack_rows(linear_rows(x))

    def products(self, d: int) -> tuple[tuple[int, int], ...]:
        """φ as products of the atoms [1, x]."""
        return tuple((0, i) for i in range(d + 1))

    def coefficients(self, params: GaussianParams) -> jax.Array:
        """β = [−½ μᵀΛμ, Λμ] f[k, 1 + d]."""
        return matrices.linear_coefficients(params)

    def common_features(self, x: jax.Array) -> jax.Array:
        """ψ f[1 + d(d+1)/2, n]."""
        return stack_rows([linear_rows(x)[0], *square_rows(x)])

    def common_coefficients(self, params: GaussianParams) -> jax.Array:
        """γ = [−½ (d log 2π + log|Σ|), −½ vech Λ with off-diagonals doubled]."""
        d, origin = params.means.shape[-1], jnp.zeros_like(params.means[:1])
        beta = quadratic_form.coefficients(origin, params.covariances[None])[0]
        return jnp.concatenate([beta[:1], beta[d + 1 :]])

    def scatter(self, sums: Sums) -> Scatter:
        """The pooled scatter f[d, d]."""
        stats, means, prior = sums.stats, sums.means, sums.prior
        k, d = means.shape
        count, first = stats.moments[:, 0], stats.moments[:, 1:]
        cross = einsum("ki,kj->ij", means, first - 0.5 * count[:, None] * means)
        scatter, total = unpack(stats.common[1:], d) - cross - cross.T, stats.common[0]
        if prior is not None:
            gap = means - prior.mean[None, :]
            scatter = scatter + prior.shrinkage * einsum("ki,kj->ij", gap, gap)
            scatter = scatter + prior.scale_like(means)
            total = total + prior.dof + d + 1 + k
        return Scatter(scatter, total)

    def healthy(self, params: GaussianParams, stats: Statistics) -> jax.Array:
        """b[k]: usable, and no variance within rounding of the second moments."""
        d = params.means.shape[1]
        second = jnp.diagonal(unpack(stats.common[1:], d)) / stats.common[0]
        floor = 8 * jnp.finfo(second.dtype).eps * second
        return matrices.usable(params) & jnp.all(jnp.diagonal(params.covariances) > floor)


class OwnMatrix:
    """φ(x) = [1, x, vech(x xᵀ)]: a matrix for each component."""

    def features(self, x: jax.Array) -> jax.Array:
        """φ f[1 + d + d(d+1)/2, n]."""
        return stack_rows([*linear_rows(x), *square_rows(x)])

    def products(self, d: int) -> tuple[tuple[int, int], ...]:
        """φ as products of the atoms [1, x]."""
        return tuple((i, j) for i in range(d + 1) for j in range(i, d + 1))

    def coefficients(self, params: GaussianParams) -> jax.Array:
        """β f[k, p]: `jaxem.families.gaussian.quadratic_form`."""
        return quadratic_form.coefficients(params.means, params.covariances)

    def scatter(self, sums: Sums) -> Scatter:
        """The scatter of each component f[k, d, d], and counts f[k, 1, 1]."""
        means, prior, (count, first, second) = sums.means, sums.prior, _parts(sums)
        cross, d = outer(means, first), means.shape[-1]
        scatter = unpack(second, d) - cross - cross.swapaxes(-1, -2)
        scatter = scatter + count[:, None, None] * outer(means, means)
        if prior is not None:
            gap = means - prior.mean[None, :]
            scatter = scatter + prior.shrinkage * outer(gap, gap)
            scatter = scatter + prior.scale_like(means)[None]
            count = count + prior.dof + d + 2
        return Scatter(scatter, count[:, None, None])

    def healthy(self, params: GaussianParams, stats: Statistics) -> jax.Array:
        """b[k]: as `usable`, which already compares the pivots with rounding."""
        return matrices.usable(params)


class OwnVariances:
    """φ(x) = [1, x, x²]: a variance for each component and feature."""

    def features(self, x: jax.Array) -> jax.Array:
        """φ f[1 + 2d, n]."""
        return stack_rows([*linear_rows(x), x.T**2])

    def products(self, d: int) -> tuple[tuple[int, int], ...]:
        """φ as products of the atoms [1, x]."""
        return (*((0, i) for i in range(d + 1)), *((i, i) for i in range(1, d + 1)))

    def coefficients(self, params: GaussianParams) -> jax.Array:
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        return jnp.concatenate(variances.coefficients(params), axis=1)

    def scatter(self, sums: Sums) -> Scatter:
        """Sums of squares f[k, d], and counts f[k, 1]."""
        means, prior, (count, first, second) = sums.means, sums.prior, _parts(sums)
        squares = second - 2 * means * first + count[:, None] * means**2
        if prior is not None:
            gap, scale = means - prior.mean[None, :], prior.scale_like(means)
            squares = squares + prior.shrinkage * gap**2 + scale[None, :]
            count = count + prior.dof + 3
        return Scatter(squares, count[:, None])

    def healthy(self, params: GaussianParams, stats: Statistics) -> jax.Array:
        """b[k]: every variance is above rounding of the second moments."""
        d, moments = params.means.shape[-1], stats.moments
        second = safe_divide(moments[:, d + 1 :], moments[:, :1], params.covariances)
        above = jnp.all(variances.above_rounding(params.covariances, second), axis=-1)
        return variances.usable(params) & above


class OneVariance:
    """φ(x) = [1, x, |x|²]: one variance for each component."""

    def features(self, x: jax.Array) -> jax.Array:
        """φ f[2 + d, n]."""
        return stack_rows([*linear_rows(x), jnp.sum(x.T**2, axis=0, keepdims=True)])

    def products(self, d: int) -> tuple[tuple[int, int], ...]:
        """Empty: |x|² is a sum of products."""
        return ()

    def coefficients(self, params: GaussianParams) -> jax.Array:
        """β f[k, p] with log p(x|k) = β_k · φ(x)."""
        constant, linear, square = variances.coefficients(params)
        return jnp.concatenate([constant, linear, square[:, :1]], axis=1)

    def scatter(self, sums: Sums) -> Scatter:
        """Sums of squares over all features f[k], and counts f[k] of numbers."""
        means, prior, (count, first, second) = sums.means, sums.prior, _parts(sums)
        square = second[:, 0] + jnp.sum(means * (count[:, None] * means - 2 * first), axis=-1)
        total = means.shape[-1] * count
        if prior is not None:
            gap = means - prior.mean[None, :]
            square = square + prior.shrinkage * jnp.sum(gap**2, axis=-1) + prior.scale
            total = total + prior.dof + means.shape[-1] + 2
        return Scatter(square, total)

    def healthy(self, params: GaussianParams, stats: Statistics) -> jax.Array:
        """b[k]: the variance is above rounding of the second moments."""
        d = params.means.shape[-1]
        second = safe_divide(stats.moments[:, d + 1], stats.moments[:, 0], params.covariances)
        return variances.usable(params) & variances.above_rounding(params.covariances, second)


#: All that there are; what `CommonMatrix` adds is `jaxem.core.protocols.CommonFeatures`.
Moments = CommonMatrix | OwnMatrix | OwnVariances | OneVariance


def _parts(sums: Sums) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Counts f[k], first moments f[k, d] and the rest f[k, .]."""
    moments, d = sums.stats.moments, sums.means.shape[-1]
    return moments[:, 0], moments[:, 1 : d + 1], moments[:, d + 1 :]
