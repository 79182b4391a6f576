"""Kullback–Leibler divergence between mixtures: Monte Carlo for any families, and for Gaussians an
approximation between two bounds.

Hershey and Olsen (2007, ICASSP, IV-317) and Durrieu, Thiran and Kelly (2012, ICASSP, 4833).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxem.core.compiled import jitted
from jaxem.core.keys import as_key
from jaxem.core.validation import integer
from jaxem.families.gaussian import as_gaussian
from jaxem.families.gaussian.params import LOG_2PI
from jaxem.models import Mixture, MixtureParams
from jaxem.numerics import NEGLIGIBLE, cholesky, einsum, inverse_factor, safe_log
from jaxem.tools.arguments import gaussian, in_own_precision, one_fit, same_space

#: Steps of the alternating minimisation of the variational upper bound; each step gives a bound.
TURNS = 100


class Estimate(NamedTuple):
    """A Monte Carlo mean and its standard error, f[] each."""

    value: jax.Array
    standard_error: jax.Array


class Bounds(NamedTuple):
    """lower <= KL <= upper, and the variational approximation, f[] each."""

    lower: jax.Array
    approximation: jax.Array
    upper: jax.Array


@in_own_precision
def kl_divergence(
    model_p: Mixture,
    p: MixtureParams,
    model_q: Mixture,
    q: MixtureParams,
    *,
    key: jax.Array | int,
    n: int = 10_000,
) -> Estimate:
    """KL(p || q) = E_p[log p − log q] from n rows of p: value and standard error.

    Any families over the same columns; infinite where q excludes rows of p. Raises ValueError for
    mixtures over different columns.
    """
    integer("n", n, 2)
    key = as_key(key)
    one_fit(p, "kl_divergence")
    one_fit(q, "kl_divergence")
    x = jax.eval_shape(lambda p, key: model_p.sample(key, p, n)[0], p, key)
    same_space(model_q, q, x.shape[1])
    return _sampled(model_p, p, model_q, q, key, n)


@partial(jitted, static_argnames="n")
def _sampled(model_p, p, model_q, q, key, n: int) -> Estimate:
    x = model_p.sample(key, p, n)[0]
    log_q = model_q.log_prob(q, x)
    gap = model_p.log_prob(p, x) - jnp.where(log_q > NEGLIGIBLE / 10, log_q, -jnp.inf)
    value = jnp.mean(gap)
    square = jnp.sum((gap - value) ** 2) / (n - 1)
    return Estimate(value, jnp.sqrt(square / n))


@in_own_precision
def kl_bounds(model_p: Mixture, p: MixtureParams, model_q: Mixture, q: MixtureParams) -> Bounds:
    """Bounds and approximation of KL(p || q) between Gaussian mixtures, without sampling.

    The approximation is the variational one of Hershey and Olsen. The lower bound is that of
    Durrieu et al., or 0; the upper bound is the smaller of that of Durrieu et al. and the
    variational bound of Hershey and Olsen. A q of one component enters the lower bound with its
    exact integral, so that between two Gaussians all three equal the divergence. Raises ValueError
    for other families and for mixtures over different columns.
    """
    p, q = gaussian(model_p, p, "kl_bounds"), gaussian(model_q, q, "kl_bounds")
    same_space(model_q, q, p.means.shape[1])
    first, second = as_gaussian(model_p.family), as_gaussian(model_q.family)
    own = first.matrices(p.components), second.matrices(q.components)
    return _bounds((p, own[0]), (q, own[1]))


@jitted
def _bounds(p_side, q_side) -> Bounds:
    """Bounds from the parameters and covariance matrices of both mixtures."""
    p, q = p_side[0], q_side[0]
    inside, across = _divergences(p_side, p_side), _divergences(p_side, q_side)
    entropy = _entropies(p_side[1])
    log_p, log_q = safe_log(p.weights), safe_log(q.weights)
    inside_low = _log_mean(log_p, -inside) - entropy
    inside_high = _log_mean(log_p, _overlaps(p_side, p_side))
    across_low = _log_mean(log_q, -across) - entropy
    across_high = across_low if q.weights.size == 1 else _log_mean(log_q, _overlaps(p_side, q_side))

    def mean(values):
        return jnp.sum(p.weights * jnp.where(p.weights > 0, values, 0))

    shared = _variational(log_p, log_q, across)
    return Bounds(
        jnp.maximum(mean(inside_low - across_high), 0),
        mean(inside_low - across_low),
        jnp.maximum(jnp.minimum(mean(inside_high - across_low), shared), 0),
    )


def _log_mean(log_weights, logs):
    """log Σ_b weight_b exp(logs_ab) f[a]."""
    return jax.nn.logsumexp(log_weights[None] + logs, axis=1)


def _both(p, q):
    """b[a, b]: neither component is switched off."""
    return (p.weights > 0)[:, None] & (q.weights > 0)[None]


def _divergences(p_side, q_side):
    """KL between components f[a, b]: ½ (log|Σ_b|/|Σ_a| + tr Λ_b Σ_a + Δᵀ Λ_b Δ − d)."""
    (p, a), (q, b) = p_side, q_side
    w, log_det, _ = inverse_factor(b)
    spread = einsum("bij,ajl->abil", w, cholesky(a))
    gap = p.means[:, None] - q.means[None]
    z = einsum("bij,abj->abi", w, gap)
    log_ratio = log_det[None] - inverse_factor(a)[1][:, None]
    square = jnp.sum(spread**2, axis=(2, 3)) + jnp.sum(z**2, axis=2) - a.shape[-1]
    return jnp.where(_both(p, q), 0.5 * (log_ratio + square), 0)


def _overlaps(p_side, q_side):
    """log ∫ N_a N_b = log N(μ_a; μ_b, Σ_a + Σ_b) f[a, b]."""
    (p, a), (q, b) = p_side, q_side
    w, log_det, _ = inverse_factor(a[:, None] + b[None])
    z = einsum("abij,abj->abi", w, p.means[:, None] - q.means[None])
    log_overlap = -0.5 * (a.shape[-1] * LOG_2PI + log_det + jnp.sum(z**2, axis=2))
    return jnp.where(_both(p, q), log_overlap, 0)


def _entropies(covariances):
    """½ log|2πe Σ| f[k]."""
    d = covariances.shape[-1]
    return 0.5 * (d * (LOG_2PI + 1) + inverse_factor(covariances)[1])


def _variational(log_p, log_q, across):
    """The minimum of Σ φ (log φ − log ψ + KL_ab) over couplings φ, ψ f[a, b] with the weights of p
    as row sums of φ and those of q as column sums of ψ, by alternating minimisation."""

    def step(_, phi):
        psi = log_q[None] + phi - jax.nn.logsumexp(phi, axis=0)[None]
        return log_p[:, None] + jax.nn.log_softmax(psi - across, axis=1)

    phi = jax.lax.fori_loop(0, TURNS, step, log_p[:, None] + log_q[None])
    psi = log_q[None] + phi - jax.nn.logsumexp(phi, axis=0)[None]
    share = jnp.exp(phi)
    return jnp.sum(jnp.where(share > 0, share * (phi - psi + across), 0))
