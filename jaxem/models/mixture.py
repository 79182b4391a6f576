"""A finite mixture of any family: the E-step is a softmax between two matrix products."""

from dataclasses import InitVar, is_dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import ArrayLike

from jaxem.core.capabilities import offered, provides
from jaxem.core.constraints import Constraint, Simplex, retract
from jaxem.core.keys import as_key
from jaxem.core.protocols import (
    CommonFeatures,
    Family,
    Products,
    Rescalable,
    Statistics,
    check_family,
)
from jaxem.core.settings import Deprecated, Settings, settings_of
from jaxem.core.trees import pytree, replace, static
from jaxem.core.types import DType, Number, Rows, Total
from jaxem.data.data import as_data, check_rows
from jaxem.data.scaling import (
    Scaling,
    from_scaled,
    log_jacobian,
    rescaled,
    scaling_within,
    scalings_of,
    to_scaled,
)
from jaxem.devices.collectives import summed
from jaxem.kernels import Assignment, softmax_moments, with_features
from jaxem.models import capacity, judgement, mixture_steps, preparation, starts
from jaxem.models.params import Expected, MixtureParams, Prepared
from jaxem.numerics import NEGLIGIBLE, safe_log


@pytree
class Mixture:
    """Mixture of `n_components` members of `family`; all methods are pure and unbatched.

    `weight_prior` is the Dirichlet concentration of the weights, None for maximum likelihood.
    `frozen` names parameters that keep their start: "weights" or fields of the family.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> params = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best().params
    >>> stats, log_likelihood = model.e_step(params, x)
    >>> round(float(log_likelihood), 1)
    -1130.3
    >>> np.bincount(model.predict(params, x), minlength=2).sum()
    np.int64(272)
    """

    family: Family
    n_components: int = static()
    weight_prior: Number | None = None
    frozen: tuple[str, ...] = static(default=())
    deprecated: Deprecated | None = None
    assignment: InitVar[str | None] = None
    exponent: InitVar[Number | None] = None
    kernel: InitVar[str | None] = None
    precision: InitVar[str | None] = None
    mesh: InitVar[Mesh | None] = None

    def __post_init__(self, assignment, exponent, kernel, precision, mesh) -> None:
        given = dict(assignment=assignment, exponent=exponent, kernel=kernel, precision=precision)
        old = Deprecated.of(**given, mesh=mesh)
        if old is not None:
            object.__setattr__(self, "deprecated", old.merged(self.deprecated))
        # JAX puts placeholders in the place of a family; only a family is a dataclass.
        if is_dataclass(self.family):
            check_family(type(self.family))

    @property
    def family_is_scaled(self) -> bool:
        """Whether the family maps its parameters under a change of units of x."""
        return provides(type(self.family), Rescalable)

    def constraints(self) -> dict[str, Constraint]:
        """The constraints of the weights and of the fields of the components."""
        return {"weights": Simplex(shared=True), **self.family.constraints()}

    def cached(self, prepared: Prepared) -> Prepared:
        """`prepared` with φ of every row stored: for rows that few lanes share."""
        if prepared.compute.kernel == "fused" and self._products(prepared.blocks.columns.shape[-2]):
            return prepared  # the kernel computes φ on chip
        return replace(prepared, blocks=with_features(self.family.features, prepared.blocks))

    def _products(self, d: int) -> tuple[tuple[int, int], ...] | None:
        own = offered(self.family, Products)
        return None if own is None else own.products(d) or None

    def common_features(self, x: jax.Array) -> jax.Array:
        """ψ f[c, n], the features all components share; none for most families."""
        own = offered(self.family, CommonFeatures)
        return x.T[:0] if own is None else own.common_features(x)

    def _common_coefficients(self, params: MixtureParams) -> jax.Array:
        own = offered(self.family, CommonFeatures)
        if own is None:
            return jnp.zeros((0,), params.weights.dtype)
        return own.common_coefficients(params.components)

    def coefficients(self, params: MixtureParams) -> jax.Array:
        """β f[k, p]: the family's coefficients with log π_k added to the constant."""
        beta = self.family.coefficients(params.components)
        return beta.at[:, 0].add(safe_log(params.weights))

    def expect(
        self,
        params: MixtureParams,
        prepared: Prepared,
        reference: jax.Array,
        hard: bool = False,
        exponent: Number | None = None,
    ) -> Expected:
        """Statistics, Σ w (logsumexp − reference) with the base left out, and the summed size of
        the terms of the logits: times the unit roundoff, the error of that sum. `hard` and
        `exponent` as in `jaxem.kernels.Assignment`."""
        beta = self.coefficients(params)
        exponent = None if exponent is None else jnp.asarray(exponent, beta.dtype)
        compute, products = prepared.compute, self._products(prepared.blocks.columns.shape[-2])

        def step(blocks, rest):
            family, beta, reference, assignment = rest
            return softmax_moments(
                family.features, beta, blocks, reference, assignment, compute, products
            )

        rest = self.family, beta, reference, Assignment(exponent, hard)
        moments, total = summed(prepared.mesh, step)(prepared.blocks, rest)
        # A switched-off component has zero moments: its huge coefficient is replaced by 0.
        used = jnp.where(beta > NEGLIGIBLE / 10, beta, 0)
        total = total + jnp.sum(prepared.known * used) - reference * jnp.sum(prepared.known[:, 0])
        common = prepared.common * self._common_coefficients(params)
        moments = moments + prepared.known
        size = jnp.sum(jnp.abs(moments * used)) + jnp.sum(jnp.abs(common))
        return Statistics(moments, prepared.common), total + jnp.sum(common), size

    def scaling(self, x: jax.Array, weight: jax.Array) -> Scaling:
        """The scaling of x f[n, d], traced."""
        check_rows(x.shape)
        return scaling_within(self.family, x, weight)

    def host_scaling(
        self, x: np.ndarray, weight: np.ndarray, total: Total | None = None
    ) -> Scaling:
        """The scalings f[s, d] of data sets x f[s, n, d] with weights f[s, n], on the host."""
        return scalings_of(self.family, x, weight, total)

    expect_assigned = expect

    # Methods that lie in other files of this room and in `data.scaling`: functions whose first
    # argument is the mixture.
    log_prior = mixture_steps.log_prior
    log_likelihood = mixture_steps.likelihood
    exact_is_cheap = mixture_steps.exact_is_cheap
    rescaled = rescaled
    to_scaled = to_scaled
    from_scaled = from_scaled
    log_jacobian = log_jacobian
    health = judgement.health
    usable = judgement.usable
    complaints = judgement.complaints
    active = judgement.active
    read_init = starts.read_init
    start = starts.start
    prepare = preparation.prepare
    signature = capacity.signature
    can_propose = capacity.can_propose
    size = capacity.size
    padded = capacity.padded
    unpadded = capacity.unpadded
    filled = capacity.filled
    can_pad = capacity.can_pad
    cost = capacity.cost
    compute_for = capacity.compute_for
    kept = mixture_steps.kept
    init = mixture_steps.init
    validate = judgement.validate
    validate_settings = judgement.validate_settings

    def e_step(
        self,
        params: MixtureParams,
        data: Rows,
        base: ArrayLike | None = None,
        assignment: str | None = None,
        exponent: Number | None = None,
    ) -> tuple[Statistics, jax.Array]:
        """Statistics and log-likelihood f[]: sums over rows, linear in the weights.

        Features are those of x − base, so that data far from the origin keep their digits. The
        statistics record the base point; those with the same base point can be added. None: the
        mean of the mixture if it is over eight standard deviations from the origin, else 0.
        `assignment` and `exponent` as in `jaxem.em`.
        """
        asked = Settings(assignment=assignment, exponent=exponent)
        self, asked, data = settings_of(self, asked, as_data(data))
        base = None if base is None else jnp.broadcast_to(base, data.x.shape[1:])
        base = base if base is None else base.astype(data.x.dtype)
        exponent = asked.exponent
        exponent = exponent if exponent is None else jnp.asarray(exponent, data.x.dtype)
        way = Assignment(exponent, asked.assignment == "hard")
        return mixture_steps.e_step(self, params, data, base, way)

    def m_step(self, stats: Statistics, params: MixtureParams) -> MixtureParams:
        """The argmax of expected log-likelihood plus log prior; weights of 0 stay 0."""
        inner, own, here, scaling = mixture_steps.about(self, stats, params)
        moved = inner.family.maximize(own, here.components, self.frozen)
        if scaling is not None:
            moved = from_scaled(self, replace(here, components=moved), scaling)
            moved = self.kept(params, moved).components
        if "weights" in self.frozen:
            return MixtureParams(params.weights, moved)
        count = stats.moments[:, 0]
        if self.weight_prior is not None:
            extra = jnp.asarray(self.weight_prior, count.dtype) - 1
            count = jnp.where(params.weights > 0, jnp.maximum(count + extra, 0), 0)
        return MixtureParams(count / jnp.sum(count), moved)

    def expected_log_likelihood(self, stats: Statistics, params: MixtureParams) -> jax.Array:
        """Q f[] = Σ moments · β + common · γ: the objective of the M-step, without Σ w log h."""
        inner, own, here, _ = mixture_steps.about(self, stats, params)
        beta = inner.coefficients(here)
        used = jnp.where(beta > NEGLIGIBLE / 10, beta, 0)
        common = inner._common_coefficients(here)
        return jnp.sum(own.moments * used) + jnp.sum(own.common * common)

    def expected_gain(self, stats: Statistics, new: MixtureParams, old: MixtureParams) -> jax.Array:
        """Q(new) − Q(old) f[], from differences of coefficients, which is more accurate."""
        own = self.coefficients(new) - self.coefficients(old)
        common = self._common_coefficients(new) - self._common_coefficients(old)
        return jnp.sum(stats.moments * own) + jnp.sum(stats.common * common)

    def retract(self, params: MixtureParams) -> MixtureParams:
        """Parameters with shares divided by their sum, which rounding in extrapolations moves."""
        weights = params.weights / jnp.sum(params.weights)
        return MixtureParams(weights, retract(self.family.constraints(), params.components))

    def seed(self, data: Rows, resp: jax.Array) -> MixtureParams:
        """Parameters by one M-step on starting responsibilities f[n, k]."""
        data = as_data(data)
        return mixture_steps.seed(self, data, jnp.asarray(resp, data.x.dtype))

    def blank(self, d: int, dtype: DType) -> MixtureParams:
        """Placeholder parameters of the right shapes: equal weights, the family's blank."""
        k = self.n_components
        return MixtureParams(jnp.full((k,), 1 / k, dtype), self.family.blank(k, d, dtype))

    def log_joint(self, params: MixtureParams, x: Rows) -> jax.Array:
        """log π_k p(x|k) f[n, k], computed in blocks of rows."""
        return mixture_steps.log_joint(self, params, as_data(x).x)

    def log_prob(self, params: MixtureParams, x: Rows) -> jax.Array:
        """Log density of each row f[n]."""
        return jax.nn.logsumexp(self.log_joint(params, x), axis=1)

    def predict_proba(self, params: MixtureParams, x: Rows) -> jax.Array:
        """Posterior probability of each component f[n, k]."""
        return jax.nn.softmax(self.log_joint(params, x), axis=1)

    def predict(self, params: MixtureParams, x: Rows) -> jax.Array:
        """The most probable component of each row i[n]."""
        return jnp.argmax(self.log_joint(params, x), axis=1)

    def sample(
        self, key: jax.Array | int, params: MixtureParams, n: int
    ) -> tuple[jax.Array, jax.Array]:
        """n rows f[n, d] and the component each came from i[n]; `key` may be an integer."""
        which, draw = jax.random.split(as_key(key))
        label = mixture_steps.draw_labels(which, params.weights, n)
        return self.family.sample(draw, params.components, label), label

    def n_parameters(self, d: int) -> int:
        """Free parameters, for BIC and AIC."""
        weights = 0 if "weights" in self.frozen else self.n_components - 1
        return weights + self.family.n_parameters(self.n_components, d, self.frozen)

    def propose(self, key, params: MixtureParams, data: Rows) -> MixtureParams:
        """Starting parameters that differ from `params` by a split and a merge (see
        `jaxem.models.proposals`); three components at least must have weight."""
        return mixture_steps.propose(self, key, params, as_data(data))
