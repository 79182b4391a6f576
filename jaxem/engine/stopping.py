"""Stopping rules, one small function each: True when a step was small enough.

Arguments, all per unit weight: `gain` and `last_gain`, the gains in objective of this step and the
last; `level`, the objective; `old` and `new` parameters; `q_gain` = Q(θ′, θ) − Q(θ, θ); `tol`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def log_likelihood(gain, last_gain, level, old, new, q_gain, tol):
    """|Δ mean log-likelihood| < tol: scikit-learn's rule."""
    return jnp.abs(gain) < tol


def relative(gain, last_gain, level, old, new, q_gain, tol):
    """|Δ| < tol (1 + |objective|): mclust's rule, per unit weight."""
    return jnp.abs(gain) < tol * (1 + jnp.abs(level))


def aitken(gain, last_gain, level, old, new, q_gain, tol):
    """Predicted remaining gain g·a/(1−a) < tol, a = g_t/g_{t−1} (Böhning et al. 1994)."""
    ratio = gain / jnp.where(last_gain == 0, 1, last_gain)
    trusted = (last_gain != 0) & (ratio > 0) & (ratio < 1)
    predicted = jnp.abs(gain) * ratio / jnp.where(trusted, 1 - ratio, 1)
    return jnp.where(trusted, predicted < tol, jnp.abs(gain) < 1e-3 * tol)


def parameters(gain, last_gain, level, old, new, q_gain, tol):
    """Euclidean norm ‖θ′ − θ‖ < tol over all parameters."""
    squares = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), new, old)
    return jnp.sqrt(sum(jax.tree.leaves(squares))) < tol


def q_change(gain, last_gain, level, old, new, q_gain, tol):
    """|Q(θ′, θ) − Q(θ, θ)| < tol per unit weight."""
    return jnp.abs(q_gain) < tol


def left_to_gain(gain, last_gain):
    """Aitken's prediction g·a/(1−a) of the gain that is left f[], a = g_t/g_{t−1}. Where a step,
    such as an accelerator's, gained no less than the one before, a is taken as 0.99."""
    ratio = jnp.abs(gain) / jnp.where(last_gain == 0, jnp.abs(gain), jnp.abs(last_gain))
    ratio = jnp.where(ratio < 1, ratio, 0.99)
    return jnp.where(gain == 0, 0, jnp.abs(gain) * ratio / (1 - ratio))


RULES: dict[str, Callable] = {
    "log_likelihood": log_likelihood,
    "relative": relative,
    "aitken": aitken,
    "parameters": parameters,
    "q": q_change,
}
