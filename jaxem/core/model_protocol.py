"""The protocol of a model: all that the engine, batch, search and public functions know of it.

A model is a frozen pytree (`jaxem.core.trees.pytree`): its structure is static, its priors are
leaves. All methods are pure and see one fit, never a batch. The data are n units. A unit is usually
one row of x f[n, d]; a model may also read units of several rows, x f[n, t, d]. The engine never
looks inside a unit, and neither blocks nor devices cut one. `Data.weight` f[n] counts units.

`Model` is required. The other protocols are capabilities: a model has all methods of one, or none
(`jaxem.core.capabilities` tests that once, when a model is given to a public function).
"""

from typing import Protocol

import jax
import numpy as np

from jaxem.core.constraints import Constraint
from jaxem.core.model_values import BLOCK_ROWS as BLOCK_ROWS
from jaxem.core.model_values import DEFAULT_COMPUTE as DEFAULT_COMPUTE
from jaxem.core.model_values import Compute as Compute
from jaxem.core.model_values import Cost as Cost
from jaxem.core.model_values import Health as Health
from jaxem.core.types import (
    Array,
    DType,
    FitData,
    FitScaling,
    Init,
    Number,
    Params,
    PreparedData,
    PyTree,
    Size,
    Stats,
    Total,
)


class Model(Protocol):
    """A latent-variable model that EM fits.

    >>> isinstance(jaxem.Mixture, type)  # one implementation; docs/guides/model.md writes another
    True

    LAWS. `expect` returns statistics that add up over units and are linear in their weights.
    `m_step` maximises Q + log prior over the parameters (EM), or never lowers it (GEM).
    """

    def validate_settings(self, d: int) -> None:
        """Raise ValueError for settings that are wrong for any data of d columns (host)."""

    def validate(self, data: FitData) -> None:
        """Raise ValueError for data (`Data` of NumPy arrays, on the host) that cannot be fitted,
        naming the row; `jaxem.data.validate.TooFewRows` where there are too few."""

    def constraints(self) -> dict[str, Constraint]:
        """The constraint of every field of the parameters, a pytree dataclass."""
        ...

    def blank(self, d: int, dtype: DType) -> Params:
        """Parameters of the right shapes and structure for units of d columns."""
        ...

    def cost(self, d: int, dtype: DType) -> Cost:
        """What an E-step of one fit holds in memory."""
        ...

    def prepare(self, data: FitData, rows: int, compute: Compute) -> PreparedData:
        """The data as the E-step reads them, made once, in blocks of at most `rows` units: a pytree
        with attributes `weight` f[], the total weight, and `base` f[], the part of the
        log-likelihood that no parameter changes (0 where there is none)."""
        ...

    def start(
        self, key: jax.Array, data: FitData, init: Init, active: Size | None = None
    ) -> Params:
        """Starting parameters for data in standard units. The model defines the values of `init`:
        names of initialisers, callables or arrays. `active`: the number of latent values that are
        on where the model is padded (`Paddable`); None for all."""
        ...

    def expect(
        self, params: Params, prepared: PreparedData, reference: jax.Array
    ) -> tuple[Stats, jax.Array, jax.Array]:
        """(statistics, Σ w (log p(unit) − reference) f[] without the base, summed size f[] of the
        terms of that sum). The size times the unit roundoff estimates the error of the sum."""
        ...

    def m_step(self, stats: Stats, params: Params) -> Params:
        """New parameters; `params` are the parameters at which the statistics were taken."""
        ...

    def log_prior(self, params: Params) -> jax.Array:
        """Log prior density f[], 0 without a prior."""
        ...

    def retract(self, params: Params) -> Params:
        """Parameters back on their constraints after an extrapolation."""
        ...

    def health(self, params: Params, stats: Stats, prepared: PreparedData) -> Health:
        """Whether the parameters can be used. The statistics are those at the parameters, or,
        within a step, those that the parameters were made from."""
        ...

    def log_prob(self, params: Params, x: Array) -> jax.Array:
        """Log density f[n] of units x."""
        ...

    def sample(self, key: jax.Array, params: Params, n: int) -> tuple[jax.Array, PyTree]:
        """(n units, the latent value of each)."""
        ...

    def n_parameters(self, d: int) -> int:
        """Free parameters, for BIC and AIC."""
        ...


class Rescalable(Protocol):
    """A model whose fits are computed in standard units z = (x − shift) / scale.

    The result of `prepare` has a field `scaling`, None until the engine sets it.
    """

    def scaling(self, x: jax.Array, weight: jax.Array) -> FitScaling:
        """The `Scaling` of x f[n, d] with weights f[n], traced."""
        ...

    def host_scaling(
        self, x: np.ndarray, weight: np.ndarray, total: Total | None = None
    ) -> FitScaling:
        """The scalings of data sets x f[s, n, d] with weights f[s, n], in float64 on the host;
        `total` adds up arrays over processes."""
        ...

    def rescaled(self, scaling: FitScaling) -> Model:
        """The model with priors and given parameters in the units of z."""
        ...

    def to_scaled(self, params: Params, scaling: FitScaling) -> Params:
        """Parameters of x as parameters of z."""
        ...

    def from_scaled(self, params: Params, scaling: FitScaling) -> Params:
        """Parameters of z as parameters of x."""
        ...

    def log_jacobian(self, scaling: FitScaling) -> jax.Array:
        """Log density of a unit in z minus its log density in x f[], for weight 1."""
        ...


class Exact(Protocol):
    """A model with a more accurate log-likelihood than the sums of `expect`."""

    def log_likelihood(self, params: Params, prepared: PreparedData) -> jax.Array:
        """Σ w log p(unit) f[], base included."""
        ...

    def exact_is_cheap(self) -> bool:
        """Whether `log_likelihood` costs little more than a step."""
        ...


class Assignable(Protocol):
    """A model whose E-step can be hard (classification EM) or tempered (annealing)."""

    def expect_assigned(
        self,
        params: Params,
        prepared: PreparedData,
        reference: jax.Array,
        hard: bool,
        exponent: Number | None,
    ) -> tuple[Stats, jax.Array, jax.Array]:
        """As `expect`, with each unit given wholly to its likeliest latent value (`hard`), or with
        probabilities raised to `exponent`."""
        ...


class Watched(Protocol):
    """A model that computes the gain in Q, for the stopping rule "q"."""

    def expected_gain(self, stats: Stats, new: Params, old: Params) -> jax.Array:
        """Q(new) − Q(old) f[] at the statistics of `old`."""
        ...


class Caching(Protocol):
    """A model with a larger but faster form of its prepared data, for rows that few lanes share."""

    def cached(self, prepared: PreparedData) -> PreparedData:
        """The faster form."""
        ...


class Identified(Protocol):
    """A model whose optima can be told apart by more than their objectives."""

    def signature(self, params: Params) -> np.ndarray:
        """Numbers f[..., s] that fits of one optimum have in common, whatever the order of their
        latent values; parameters with any leading axes, on the host."""
        ...


class Proposing(Protocol):
    """A model that proposes ways out of a local optimum."""

    def can_propose(self) -> bool:
        """Whether `propose` can change anything."""
        ...

    def propose(self, key: jax.Array, params: Params, data: FitData) -> Params:
        """Starting parameters that differ from `params` by a split and a merge."""
        ...


class Paddable(Protocol):
    """A model that computes with latent values switched off, so that models of several sizes share
    a program."""

    def padded(self, size: int) -> Model:
        """The model with `size` latent values."""
        ...

    def unpadded(self, params: Params, like: Model) -> Params:
        """Parameters f[lanes, ...] of `padded` as parameters of the model `like`."""
        ...

    def filled(self, params: Params, size: int) -> Params:
        """Parameters as parameters of `padded(size)`, whose further values are off (host)."""
        ...

    def size(self) -> int:
        """The number of latent values."""
        ...

    def can_pad(self, init: Init) -> bool:
        """Whether fits of `padded` from `init` are those of the model: not where latent values that
        are off would have a prior, or would take part in drawing a start."""
        ...


class Switchable(Protocol):
    """A model whose latent values can be switched off; their parameters then do not matter."""

    def complaints(self, params: Params) -> str:
        """The fields that break their constraints, and how, as text; empty where none does.
        Parameters with any leading axes, on the host."""
        ...

    def active(self, params: Params) -> np.ndarray:
        """b[k]: the latent values that are on, on the host."""
        ...


class Labelled(Protocol):
    """A model whose latent value may be known for some units."""

    def log_joint(self, params: Params, x: Array) -> jax.Array:
        """log p(unit, latent value) f[n, k]."""
        ...


class Initialised(Protocol):
    """A model that has named initialisers or reads arrays as starts."""

    def read_init(self, init: Init, n: int) -> Init:
        """`init` as `start` takes it, for n units: a name, a callable or an array. ValueError,
        listing the choices, for anything else (on the host)."""
        ...


class Kernelled(Protocol):
    """A model with several implementations of its E-step."""

    def compute_for(
        self, data: FitData, lanes: int, kernel: str | None, precision: str | None, platform: str
    ) -> Compute:
        """How to compute `lanes` fits of the data; the model chooses what is None."""
        ...


class Freezable(Protocol):
    """A model whose parameters can be held fixed. `n_parameters` counts the free ones alone."""

    @property
    def frozen(self) -> tuple[str, ...]:
        """Names of the fields that are held fixed."""
        ...

    def kept(self, given: Params, moved: Params) -> Params:
        """`moved`, with the held parameters exactly as in `given`: a change of units rounds."""
        ...


CAPABILITIES = (
    Rescalable, Exact, Assignable, Watched, Caching, Identified, Proposing, Paddable,
    Switchable, Labelled, Initialised, Kernelled, Freezable,
)  # fmt: skip
