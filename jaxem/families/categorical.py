"""Categorical components (latent class analysis): φ(x) = [1, one-hot of each feature]."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.constraints import Constraint, Simplex
from jaxem.core.trees import pytree, static
from jaxem.core.types import DType
from jaxem.families import levels
from jaxem.families.independent import Independent
from jaxem.families.priors import Dirichlet
from jaxem.numerics import safe_divide, safe_log


@pytree
class CategoricalParams:
    """Probability of each category of each feature in each component.

    >>> jaxem.CategoricalParams(np.full((2, 4, 3), 1 / 3))
    CategoricalParams(probabilities=float64[2, 4, 3])
    """

    probabilities: jax.Array  #: f[k, d, c]


@pytree
class Categorical(Independent[Dirichlet]):
    """Independent features coded 0 .. n_categories − 1: one number for all columns, or a sequence
    with one for each. The last axis of the probabilities has the largest of these numbers, c;
    entries for categories that a column lacks are 0 and no parameters.

    >>> jaxem.Mixture(jaxem.Categorical(n_categories=3), n_components=2).n_parameters(d=4)
    17
    >>> jaxem.Mixture(jaxem.Categorical(n_categories=(2, 4, 3)), n_components=2).n_parameters(d=3)
    13
    """

    n_categories: int | tuple[int, ...] = static()
    prior: Dirichlet | None = None

    def __post_init__(self):
        object.__setattr__(self, "n_categories", levels.hashable(self.n_categories))

    def levels(self, d: int) -> tuple[int, ...]:
        """The number of categories of each of d columns; ValueError for a sequence of another
        length."""
        return levels.of_columns(self.n_categories, d)

    def constraints(self) -> dict[str, Constraint]:
        """Probabilities of the categories that each column has sum to one."""
        return {"probabilities": Simplex(self.n_categories)}

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers from 0, below the number of categories of the column."""
        levels.check(self.n_categories, x)
        super().validate(x)

    def features(self, x):
        """φ f[1 + d c, n]."""
        return super().features(self.embed(x))

    def embed(self, x):
        """One-hot codes f[n, d c]: every pair of categories equally far apart."""
        code = jax.nn.one_hot(x.astype(jnp.int32), max(self.levels(x.shape[1])), dtype=x.dtype)
        return code.reshape(x.shape[0], -1)

    def coefficients(self, params):
        """β = [0, log p] f[k, 1 + d c]."""
        p = params.probabilities.reshape(params.probabilities.shape[0], -1)
        return jnp.concatenate([jnp.zeros((p.shape[0], 1), p.dtype), safe_log(p)], axis=1)

    def blank(self, k: int, d: int, dtype: DType):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        c = self.levels(d)
        p = jnp.broadcast_to(1 / jnp.asarray(c, dtype)[None, :, None], (k, d, max(c)))
        return CategoricalParams(levels.only_present(p, c))

    def maximize(self, stats, params, frozen=()):
        """Weighted frequencies, or the posterior mode under the prior."""
        if "probabilities" in frozen:
            return params
        counts = stats.moments[:, 1:].reshape(params.probabilities.shape)
        if self.prior is not None:
            counts = counts + (jnp.asarray(self.prior.concentration, counts.dtype) - 1)
            counts = levels.only_present(counts, self.levels(counts.shape[1]))
        total = jnp.sum(counts, axis=2, keepdims=True)
        return CategoricalParams(safe_divide(counts, total, params.probabilities))

    def log_prior(self, params):
        """Dirichlet log density, summed over components and features."""
        p = params.probabilities
        if self.prior is None:
            return jnp.zeros((), p.dtype)
        present = levels.present(self.levels(p.shape[1]), p.shape)
        return self.prior.log_density(p, *(() if present is None else (present,)))

    def sample(self, key, params, labels):
        """Codes f[n, d] from the components named in labels i[n]."""
        logits = safe_log(params.probabilities)[labels]
        return jax.random.categorical(key, logits).astype(logits.dtype)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        return super().n_parameters(n_components, sum(self.levels(d)) - d, frozen)

    def usable(self, params):
        """b[k]: every probability lies in [0, 1]."""
        p = params.probabilities
        return jnp.all((p >= 0) & (p <= 1), axis=(1, 2))
