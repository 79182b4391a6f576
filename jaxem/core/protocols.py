"""The protocols of families, and the statistics that an E-step hands to an M-step.

`Family` has the members that every family needs. The other protocols are capabilities: a family has
all members of one, or none (`jaxem.core.capabilities`).
"""

from typing import Protocol, TypeVar

import jax
import numpy as np

from jaxem.core.capabilities import check
from jaxem.core.constraints import Constraint
from jaxem.core.trees import pytree
from jaxem.core.types import Array, DType, Number, Params

A = TypeVar("A", jax.Array, np.ndarray)


@pytree
class Statistics:
    """Sums over rows, linear in the weights: all that an M-step needs to know of the data.

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
    #: f[d], Σ w b, where φ and ψ are features of x − b: a sum like the others. None where the base
    #: point b is the origin.
    base: jax.Array | None = None


class Family(Protocol):
    """Components of one kind: log p(x|k) = β_k · φ(x) + log h(x). All methods are pure."""

    @property
    def prior(self) -> object:
        """The prior of the parameters, None for maximum likelihood."""
        ...

    def constraints(self) -> dict[str, Constraint]:
        """The constraint of each field of the parameters, in order, in the units of the data."""
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

    def coefficients(self, params: Params) -> jax.Array:
        """β f[k, p]."""
        ...

    def blank(self, k: int, d: int, dtype: DType) -> Params:
        """Parameters of the right shapes, to be overwritten by an M-step."""
        ...

    def maximize(self, stats: Statistics, params: Params, frozen: tuple[str, ...] = ()) -> Params:
        """The argmax of expected log-likelihood plus log prior; `frozen` fields stay."""
        ...

    def log_prior(self, params: Params) -> jax.Array:
        """Log prior density f[], 0 without a prior."""
        ...

    def sample(self, key: jax.Array, params: Params, labels: jax.Array) -> jax.Array:
        """Rows f[n, d] from the components named in labels i[n]."""
        ...

    def n_parameters(self, n_components: int, d: int, frozen: tuple[str, ...] = ()) -> int:
        """Free parameters of the components."""
        ...

    def usable(self, params: Params) -> jax.Array:
        """b[k]: the parameters define a density."""
        ...

    def healthy(self, params: Params, stats: Statistics) -> jax.Array:
        """b[k]: usable, and larger than the rounding errors of the statistics."""
        ...


class Rescalable(Protocol):
    """A family whose parameters can be converted to other units; fits are made in standard units.

    `scale_kind` names the change of units: "feature" (mean 0 and variance 1 of each column),
    "scalar" (one scale for all columns), "positive" (mean 1, not moved) or "counts" (moved to a
    base point, not scaled: `CountBase`).
    """

    @property
    def scale_kind(self) -> str:
        """One of the four kinds."""
        ...

    def standardized(self, shift: Array, scale: Array) -> "Family":
        """The family, with its priors and given parameters, of z = (x − shift) / scale, f[d]."""
        ...

    def standardize(self, params: Params, shift: Array, scale: Array) -> Params:
        """Parameters of x as parameters of z."""
        ...

    def unstandardize(self, params: Params, shift: Array, scale: Array) -> Params:
        """Parameters of z as parameters of x."""
        ...


class CountBase(Protocol):
    """A `Rescalable` family of kind "counts": its counts are differences from a base point."""

    def base_of(self, mean: A) -> A:
        """The base point f[..., d] of columns with these means; 0 for none. NumPy or JAX arrays."""
        ...

    def far_below(self, x: A, base: A) -> A:
        """b[..., d]: counts so far from the base point that an expansion about it loses digits."""
        ...


class CommonFeatures(Protocol):
    """log p(x|k) has a part γ · ψ(x) whose coefficients all components share."""

    def common_features(self, x: jax.Array) -> jax.Array:
        """ψ f[c, n]; the first is 1, where there are any."""
        ...

    def common_coefficients(self, params: Params) -> jax.Array:
        """γ f[c]."""
        ...


class BasePoint(Protocol):
    """A family whose sums over rows lose digits where the data lie far from the origin."""

    def base_point(self, params: Params, weights: jax.Array) -> jax.Array:
        """The point f[d] about which sums lose no digits, for components of weights f[k]."""
        ...


class Accurate(Protocol):
    """A family with a form of the log density that loses fewer digits than β · φ."""

    @property
    def residual_form(self) -> bool:
        """Whether that form costs little more than β · φ."""
        ...

    def log_density(self, params: Params, x: jax.Array) -> jax.Array:
        """log p(x|k) f[n, k], the base measure included."""
        ...

    def condition(self, params: Params) -> jax.Array:
        """Error that β · φ can have f[k], in units of the roundoff."""
        ...


class Bounded(Protocol):
    """A family whose likelihood has spurious maxima, which these bounds detect."""

    def min_rows(self, d: int) -> int:
        """A component of this number of rows or fewer is at a spurious maximum; 0: none is."""
        ...

    def narrowness(self, params: Params, weights: jax.Array) -> jax.Array:
        """How much narrower than the pooled components a component is f[k], in variance."""
        ...


class Products(Protocol):
    """A family whose features are products of two atoms of [1, x_1, .., x_d]: a kernel can make
    them on chip."""

    def products(self, d: int) -> tuple[tuple[int, int], ...]:
        """The pairs of atoms, one for each feature; empty where features are no such products."""
        ...


class Given(Protocol):
    """A family with given parameters, which no change of units may round."""

    def exact(self, params: Params) -> Params:
        """The parameters with the given ones exactly as given."""
        ...


class Ridged(Protocol):
    """A family whose M-step adds a ridge to the variances. The ridge is no part of the objective,
    so a step may lower the objective."""

    @property
    def reg_covar(self) -> Number:
        """The ridge, f[] or f[d]."""
        ...


#: All capabilities of families.
CAPABILITIES = (
    Rescalable,
    CountBase,
    CommonFeatures,
    BasePoint,
    Accurate,
    Bounded,
    Products,
    Given,
    Ridged,
)


def check_family(kind: type) -> None:
    """ValueError, naming the member, for a class that is not a family, provides a capability in
    part, or misspells a member."""
    check(kind, Family, CAPABILITIES)
