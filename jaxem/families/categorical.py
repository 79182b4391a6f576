"""Categorical components (latent class analysis): φ(x) = [1, one-hot of each feature]."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.checks import whole
from jaxem.numerics import safe_divide, safe_log, stack_rows
from jaxem.priors import Dirichlet
from jaxem.pytree import pytree, static


@pytree
class CategoricalParams:
    """Probability of each category of each feature in each component.

    >>> jaxem.CategoricalParams(np.full((2, 4, 3), 1 / 3))
    CategoricalParams(probabilities=float64[2, 4, 3])
    """

    probabilities: jax.Array  #: f[k, d, c]


@pytree
class Categorical:
    """Independent features coded 0 .. n_categories − 1.

    >>> jaxem.Mixture(jaxem.Categorical(n_categories=3), n_components=2).n_parameters(d=4)
    17
    """

    n_categories: int = static()
    prior: Dirichlet | None = None
    shared: ClassVar[tuple[str, ...]] = ()

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers below n_categories."""
        whole("n_categories", self.n_categories, 1)
        if self.prior is not None:
            self.prior.validate()
        bad = ((x < 0) | (x >= self.n_categories) | (x != np.round(x))).any(axis=1)
        if bad.any():
            row, top = int(np.argmax(bad)), self.n_categories - 1
            raise ValueError(f"x must hold codes from 0 to {top}; row {row}: {x[row]}.")

    def features(self, x):
        """φ f[1 + d c, n]."""
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), self.embed(x).T])

    def log_base(self, x):
        """log h = 0 f[n]."""
        return jnp.zeros(x.shape[:1], x.dtype)

    def embed(self, x):
        """One-hot codes f[n, d c]: every pair of categories equally far apart."""
        code = jax.nn.one_hot(x.astype(jnp.int32), self.n_categories, dtype=x.dtype)
        return code.reshape(x.shape[0], -1)

    def coefficients(self, params):
        """β = [0, log p] f[k, 1 + d c]."""
        p = params.probabilities.reshape(params.probabilities.shape[0], -1)
        return jnp.concatenate([jnp.zeros((p.shape[0], 1), p.dtype), safe_log(p)], axis=1)

    def blank(self, k: int, d: int, dtype: Any):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        c = self.n_categories
        return CategoricalParams(jnp.full((k, d, c), 1 / c, dtype))

    def maximize(self, stats, params, frozen=()):
        """Weighted frequencies, or the posterior mode under the prior."""
        if "probabilities" in frozen:
            return params
        counts = stats.moments[:, 1:].reshape(params.probabilities.shape)
        if self.prior is not None:
            counts = counts + (jnp.asarray(self.prior.concentration, counts.dtype) - 1)
        total = jnp.sum(counts, axis=2, keepdims=True)
        return CategoricalParams(safe_divide(counts, total, params.probabilities))

    def normalized(self, params):
        """Probabilities that sum to 1 again, after rounding."""
        p = params.probabilities
        return CategoricalParams(p / jnp.sum(p, axis=2, keepdims=True))

    def log_prior(self, params):
        """Dirichlet log density, summed over components and features."""
        p = params.probabilities
        return jnp.zeros((), p.dtype) if self.prior is None else self.prior.log_density(p)

    def sample(self, key, params, labels):
        """Codes f[n, d] from the components named in labels i[n]."""
        logits = safe_log(params.probabilities)[labels]
        return jax.random.categorical(key, logits).astype(logits.dtype)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return 0 if "probabilities" in frozen else n_components * d * (self.n_categories - 1)

    def usable(self, params):
        """True where every probability lies in [0, 1]."""
        p = params.probabilities
        return jnp.all((p >= 0) & (p <= 1), axis=(1, 2))

    def healthy(self, params, stats):
        """As `usable`: nothing here is lost to rounding."""
        return self.usable(params)
