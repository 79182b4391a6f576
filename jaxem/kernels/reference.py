"""The reference kernel: the E-step as in a textbook, which every faster kernel must equal."""

import jax
import jax.numpy as jnp

from jaxem.numerics import einsum


def softmax_moments_reference(
    phi: jax.Array,
    beta: jax.Array,
    weight: jax.Array,
    exponent: float | jax.Array = 1.0,
    hard: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Moments f[k, p] and weighted log-sum-exp f[] of features f[p, n], coefficients f[k, p].

    logits = βΦ, r = softmax_k(exponent · logits), moments = (w∘r)Φᵀ,
    total = Σ w logsumexp_k(exponent · logits) / exponent; with `hard`, r is the indicator of the
    best component and total = Σ w max_k logits (classification EM, Celeux and Govaert 1992).
    """
    logits = einsum("kp,pn->kn", beta, phi)
    if hard:
        best = jnp.argmax(logits, axis=0)
        r = (jnp.arange(beta.shape[0])[:, None] == best[None, :]).astype(phi.dtype)
        total = jnp.sum(weight * jnp.max(logits, axis=0))
    else:
        r = jax.nn.softmax(exponent * logits, axis=0)
        total = jnp.sum(weight * jax.nn.logsumexp(exponent * logits, axis=0)) / exponent
    return einsum("kn,pn->kp", r * weight[None, :], phi), total
