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
    """Independent features coded 0 .. n_categories − 1: one number for all columns, or a sequence
    with one for each. Probabilities have room for the most, c; those of categories that a column
    does not have are 0, and no parameters.

    >>> jaxem.Mixture(jaxem.Categorical(n_categories=3), n_components=2).n_parameters(d=4)
    17
    >>> jaxem.Mixture(jaxem.Categorical(n_categories=(2, 4, 3)), n_components=2).n_parameters(d=3)
    13
    """

    n_categories: int | tuple[int, ...] = static()
    prior: Dirichlet | None = None
    shared: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        if np.ndim(self.n_categories) == 1:  # hashable, whatever sequence it was
            own = tuple(np.asarray(self.n_categories).tolist())
            object.__setattr__(self, "n_categories", own)

    def levels(self, d: int) -> tuple[int, ...]:
        """The number of categories of each of d columns; ValueError for a sequence of others."""
        own = self.n_categories
        if not isinstance(own, tuple):
            return (own,) * d
        if len(own) != d:
            raise ValueError(f"n_categories has numbers for {len(own)} columns, but x has {d}.")
        return own

    def present(self, d: int) -> jax.Array | None:
        """Which categories each column has b[d, c]; None where all have all."""
        levels = self.levels(d)
        if min(levels) == max(levels):
            return None
        return jnp.arange(max(levels))[None, :] < jnp.asarray(levels)[:, None]

    def validate(self, x: np.ndarray) -> None:
        """Whole numbers below n_categories, the column's own."""
        alike = not isinstance(self.n_categories, tuple)
        for own in {self.n_categories} if alike else self.levels(x.shape[1]):
            whole("n_categories", own, 1)
        if self.prior is not None:
            self.prior.validate()
        levels = np.array(self.levels(x.shape[1]))
        bad = (x < 0) | (x >= levels) | (x != np.round(x))
        if bad.any():
            row = int(np.argmax(bad.any(axis=1)))
            column = int(np.argmax(bad[row]))
            where = f"0 to {levels[column] - 1}" + ("" if alike else f" in column {column}")
            raise ValueError(f"x must hold codes from {where}; row {row}: {x[row]}.")

    def features(self, x):
        """φ f[1 + d c, n]."""
        return stack_rows([jnp.ones((1, x.shape[0]), x.dtype), self.embed(x).T])

    def log_base(self, x):
        """log h = 0 f[n]."""
        return jnp.zeros(x.shape[:1], x.dtype)

    def embed(self, x):
        """One-hot codes f[n, d c]: every pair of categories equally far apart."""
        most = max(self.levels(x.shape[1]))
        code = jax.nn.one_hot(x.astype(jnp.int32), most, dtype=x.dtype)
        return code.reshape(x.shape[0], -1)

    def coefficients(self, params):
        """β = [0, log p] f[k, 1 + d c]."""
        p = params.probabilities.reshape(params.probabilities.shape[0], -1)
        return jnp.concatenate([jnp.zeros((p.shape[0], 1), p.dtype), safe_log(p)], axis=1)

    def blank(self, k: int, d: int, dtype: Any):
        """Parameters of the right shapes, to be overwritten by an M-step."""
        levels, present = self.levels(d), self.present(d)
        if present is None:
            return CategoricalParams(jnp.full((k, d, levels[0]), 1 / levels[0], dtype))
        p = present / jnp.sum(present, axis=1, keepdims=True)
        return CategoricalParams(jnp.broadcast_to(p.astype(dtype), (k, *p.shape)))

    def maximize(self, stats, params, frozen=()):
        """Weighted frequencies, or the posterior mode under the prior."""
        if "probabilities" in frozen:
            return params
        counts = stats.moments[:, 1:].reshape(params.probabilities.shape)
        if self.prior is not None:
            extra = jnp.asarray(self.prior.concentration, counts.dtype) - 1
            present = self._present_in(counts)
            counts = counts + (extra if present is None else jnp.where(present, extra, 0))
        total = jnp.sum(counts, axis=2, keepdims=True)
        return CategoricalParams(safe_divide(counts, total, params.probabilities))

    def normalized(self, params):
        """Probabilities that sum to 1 again, after rounding."""
        p = params.probabilities
        return CategoricalParams(p / jnp.sum(p, axis=2, keepdims=True))

    def log_prior(self, params):
        """Dirichlet log density, summed over components and features."""
        p = params.probabilities
        if self.prior is None:
            return jnp.zeros((), p.dtype)
        present = self._present_in(p)
        return self.prior.log_density(p, *(() if present is None else (present,)))

    def _present_in(self, p):
        """`present` for every component b[k, d, c], or None."""
        present = self.present(p.shape[1])
        return None if present is None else jnp.broadcast_to(present, p.shape)

    def sample(self, key, params, labels):
        """Codes f[n, d] from the components named in labels i[n]."""
        logits = safe_log(params.probabilities)[labels]
        return jax.random.categorical(key, logits).astype(logits.dtype)

    def n_parameters(self, n_components, d, frozen=()):
        """Free parameters of the components."""
        own = sum(self.levels(d)) - d
        return 0 if "probabilities" in frozen else n_components * own

    def usable(self, params):
        """True where every probability lies in [0, 1]."""
        p = params.probabilities
        return jnp.all((p >= 0) & (p <= 1), axis=(1, 2))

    def healthy(self, params, stats):
        """As `usable`: nothing here is lost to rounding."""
        return self.usable(params)


def levels_shown(x: np.ndarray) -> int | tuple[int, ...]:
    """As many categories as each column of codes x f[n, d] shows; one number where all agree."""
    own = tuple(max(int(top) + 1, 1) for top in x.max(axis=0))
    return own[0] if min(own) == max(own) else own
