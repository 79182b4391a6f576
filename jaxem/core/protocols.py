"""What a family is, and the statistics that pass between the E-step and the M-step."""

from typing import Any, Protocol

import jax
import numpy as np

from jaxem.core.pytree import pytree


@pytree
class Statistics:
    """Sums over rows, linear in the weights: what one M-step needs to know of the data.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> params = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best().params
    >>> stats, _ = model.e_step(params, x)
    >>> stats.moments.shape  # counts, sums, and products of two columns
    (2, 6)
    >>> float(stats.moments[:, 0].sum().round())  # every row is shared out once
    272.0
    """

    moments: jax.Array  #: f[k, p], Σ w r φ(x)
    common: jax.Array  #: f[c], Σ w ψ(x), the features all components share; f[0] for most families
    #: f[d], Σ w b: the base point b that φ and ψ are taken about, as a sum like the others; None
    #: where it is the origin.
    base: Any = None


class Family(Protocol):
    """Components of one kind: log p(x|k) = β_k · φ(x) + log h(x). All methods are pure.

    A family that is not an exponential family in φ alone, but in φ and features ψ whose
    coefficients all components share (a tied covariance), adds `common_features(x) f[c, n]` and
    `common_coefficients(params) f[c]`. One that maps its parameters under a change of units adds
    `scale_kind`, `standardized`, `standardize` and `unstandardize` (see `DiagGaussian`), and, of
    kind "counts", `base_of` and `far_below` (see `Poisson`); one whose sums lose digits far from
    the origin adds `base_point(params, weights) f[d]`; one with a more accurate log density than
    β · φ adds `log_density(params, x) f[n, k]`, `condition(params) f[k]`, the roundings that β · φ
    can lose, and `residual_form` = True where that density costs little more than β · φ; one whose
    likelihood has spurious maxima adds `min_rows(d)` and `narrowness(params, weights) f[k]`; one
    whose features are products of two of the atoms [1, x_1, .., x_d] adds their pairs,
    `products(d) ((i, j), ...)`, from which the fused kernel makes φ on chip.
    """

    @property
    def shared(self) -> tuple[str, ...]:
        """Parameter fields without a component axis."""
        ...

    def validate(self, x: np.ndarray) -> None:
        """Raise ValueError, naming the row, for values this family cannot take (on the host)."""

    def features(self, x: jax.Array) -> jax.Array:
        """φ f[p, n] of rows f[n, d]; the first feature is 1."""
        ...

    def log_base(self, x: jax.Array) -> jax.Array:
        """log h f[n]."""
        ...

    def embed(self, x: jax.Array) -> jax.Array:
        """Coordinates f[n, e] in which initialisers measure distance."""
        ...

    def coefficients(self, params: Any) -> jax.Array:
        """β f[k, p]."""
        ...

    def blank(self, k: int, d: int, dtype: Any) -> Any:
        """Parameters of the right shapes, to be overwritten by an M-step."""
        ...

    def maximize(self, stats: Statistics, params: Any, frozen: tuple[str, ...] = ()) -> Any:
        """The argmax of expected log-likelihood plus log prior; `frozen` fields stay."""
        ...

    def log_prior(self, params: Any) -> jax.Array:
        """Log prior density f[], 0 without a prior."""
        ...

    def sample(self, key: jax.Array, params: Any, labels: jax.Array) -> jax.Array:
        """Rows f[n, d] from the components named in labels i[n]."""
        ...

    def n_parameters(self, n_components: int, d: int, frozen: tuple[str, ...] = ()) -> int:
        """Free parameters of the components."""
        ...

    def usable(self, params: Any) -> jax.Array:
        """b[k]: the parameters define a density."""
        ...

    def healthy(self, params: Any, stats: Statistics) -> jax.Array:
        """b[k]: usable, and above what rounding makes of the statistics."""
        ...
