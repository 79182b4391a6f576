"""Conjugate priors of one-parameter families; the MAP step is the exact posterior mode."""

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln, gammaln

from jaxem.core.trees import pytree
from jaxem.core.types import Number
from jaxem.core.validation import positive
from jaxem.numerics import safe_log


def _like(values: tuple[Number, ...], target: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(jnp.broadcast_to(jnp.asarray(v, target.dtype), target.shape) for v in values)


@pytree
class Beta:
    """p ~ Beta(a, b); the mode adds a − 1 successes and b − 1 failures.

    >>> jaxem.Bernoulli(prior=jaxem.Beta(2, 2))
    Binomial(n_trials=1, prior=Beta(a=2, b=2))
    """

    a: Number
    b: Number

    def validate(self) -> None:
        """ValueError, naming the field, unless positive."""
        positive("Beta a", self.a)
        positive("Beta b", self.b)

    def like(self, p):
        """a and b, numbers or f[d], in the shape and dtype of p f[k, d]."""
        return _like((self.a, self.b), p)

    def log_density(self, p):
        """Log density summed over all entries of p."""
        a, b = self.like(p)
        return jnp.sum((a - 1) * safe_log(p) + (b - 1) * safe_log(1 - p) - betaln(a, b))


@pytree
class Gamma:
    """λ ~ Gamma(shape, rate); the mode adds shape − 1 to the numerator, rate to the denominator.

    >>> jaxem.Exponential(prior=jaxem.Gamma(2, 1))
    Exponential(prior=Gamma(shape=2, rate=1))
    """

    shape: Number
    rate: Number

    def validate(self) -> None:
        """ValueError, naming the field, unless positive."""
        positive("Gamma shape", self.shape)
        positive("Gamma rate", self.rate)

    def like(self, value):
        """Shape and rate, numbers or f[d], in the shape and dtype of value f[k, d]."""
        return _like((self.shape, self.rate), value)

    def log_density(self, value):
        """Log density summed over all entries of value."""
        a, b = self.like(value)
        constant = a * jnp.log(b) - gammaln(a)
        return jnp.sum(constant + (a - 1) * safe_log(value) - b * value)


@pytree
class Dirichlet:
    """p ~ Dirichlet(concentration c, equal for all categories); the mode adds c − 1 to each count.

    >>> jaxem.Categorical(3, prior=jaxem.Dirichlet(2))
    Categorical(n_categories=3, prior=Dirichlet(concentration=2))
    """

    concentration: Number

    def validate(self) -> None:
        """ValueError, naming the field, unless positive."""
        positive("Dirichlet concentration", self.concentration)

    def log_density(self, p, present=None):
        """Log density summed over all leading axes of p f[..., c], over the categories that
        are `present` b[..., c] (None: all)."""
        a, c, logs = jnp.asarray(self.concentration, p.dtype), p.shape[-1], safe_log(p)
        if present is not None:
            c, logs = jnp.sum(present, axis=-1).astype(p.dtype), jnp.where(present, logs, 0)
        constant = gammaln(c * a) - c * gammaln(a)
        return jnp.sum(constant + (a - 1) * jnp.sum(logs, axis=-1))


#: The prior of a family with one field of parameters.
Prior = Beta | Gamma | Dirichlet
