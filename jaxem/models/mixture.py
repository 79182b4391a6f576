"""A finite mixture of any family: the E-step is a softmax between two matrix products."""

from dataclasses import is_dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered, provides
from jaxem.core.constraints import Constraint, Simplex, retract
from jaxem.core.protocols import (
    CommonFeatures,
    Family,
    Products,
    Rescalable,
    Ridged,
    Statistics,
    check_family,
)
from jaxem.core.pytree import pytree, replace, static
from jaxem.data.data import Data, as_data
from jaxem.data.scaling import original_params
from jaxem.devices.collectives import each_device, filled, summed
from jaxem.kernels import (
    as_blocks,
    as_one_block,
    padded_rows,
    softmax_moments,
    weighted_moments,
    with_features,
    with_known,
)
from jaxem.models import health, mixture_steps
from jaxem.models.initializers import responsibilities
from jaxem.models.params import MixtureParams, Prepared
from jaxem.numerics import NEGLIGIBLE, safe_log


@pytree
class Mixture:
    """Mixture of `n_components` members of `family`; all methods are pure and unbatched.

    `assignment` is "soft" (EM) or "hard" (classification EM). `exponent` tempers the soft
    responsibilities r ∝ exp(exponent · logits): below 1 for annealing (Ueda and Nakano 1998),
    None for 1.
    `weight_prior` is the Dirichlet concentration of the weights, None for maximum likelihood.
    `frozen` names parameters that keep their start: "weights" or fields of the family.
    `kernel` is that of `jaxem.fit`. `precision` of float32 products: "float32", "tf32x3" or
    "bf16x3", three products on matrix units of 21 and 16 bits together, on GPUs (bf16x3 also TPUs);
    elsewhere exact. `mesh` are the devices over which rows are spread (see `jaxem.shard_rows`).

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
    assignment: str = static(default="soft")
    exponent: Any = None
    weight_prior: Any = None
    frozen: tuple[str, ...] = static(default=())
    kernel: str = static(default="blocked")
    precision: str = static(default="float32")
    mesh: Any = static(default=None)

    def __post_init__(self):
        # JAX puts placeholders in the place of a family; a family itself is a dataclass.
        if is_dataclass(self.family):
            check_family(type(self.family))

    @property
    def family_is_scaled(self) -> bool:
        """Whether the family maps its parameters under a change of units of x."""
        return provides(type(self.family), Rescalable)

    def constraints(self) -> dict[str, Constraint]:
        """What the weights and the fields of the components may be."""
        return {"weights": Simplex(shared=True), **self.family.constraints()}

    def prepare(self, data: Any, rows: int = mixture_steps.BLOCK_ROWS) -> Prepared:
        """Blocks of at most `rows` rows, and the sums that do not change between iterations."""
        data = as_data(data)
        if self.mesh is not None:
            data = Data(*filled(self.mesh, data.x, data.weight, data.label))
            own = each_device(
                self.mesh, lambda data, model: mixture_steps.prepare_rows(model, data, rows)
            )
            blocks, sums = own(data, replace(self, mesh=None))
            return replace(sums, blocks=blocks)
        x, weight = data.x, data.weight
        total, count = jnp.sum(weight), jnp.sum((weight > 0).astype(x.dtype))
        blocks = as_blocks(x, weight, rows)
        base = jnp.sum(weighted_moments(lambda x: self.family.log_base(x)[None], blocks))
        common = weighted_moments(self.common_features, blocks)[0]
        width = jax.eval_shape(self.family.features, x).shape[0]
        known = jnp.zeros((self.n_components, width), x.dtype)
        if data.label is not None:
            member = jax.nn.one_hot(data.label, self.n_components, dtype=x.dtype, axis=0)
            known = weighted_moments(self.family.features, blocks, member)
            weight = jnp.where(data.label >= 0, 0, weight)
            blocks = as_blocks(x, weight, rows)
        if self.kernel == "fused":
            blocks = as_one_block(x, weight, padded_rows(x.shape[0]))
        if data.label is not None:
            labelled = jnp.where(data.label >= 0, data.weight, 0)
            blocks = with_known(blocks, labelled, data.label)
        return Prepared(blocks, base, known, common, total, count)

    def keep_features(self, prepared: Prepared) -> Prepared:
        """`prepared` with φ of every row kept: for rows that only few lanes share."""
        if self.kernel == "fused" and self._products(prepared.blocks.columns.shape[-2]):
            return prepared  # The kernel makes φ on chip.
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

    def expect(self, params, prepared: Prepared, reference) -> tuple[Statistics, Any, Any]:
        """Statistics, Σ w (logsumexp − reference) with the base left out, and the summed size of
        the terms of the logits: times the unit roundoff, the error of that sum."""
        beta = self.coefficients(params)
        exponent = None if self.exponent is None else jnp.asarray(self.exponent, beta.dtype)
        hard = self.assignment == "hard"
        products = self._products(prepared.blocks.columns.shape[-2])
        how: Any = dict(kernel=self.kernel, precision=self.precision, products=products)

        def step(blocks, rest):
            family, beta, reference, exponent = rest
            return softmax_moments(family.features, beta, blocks, reference, exponent, hard, **how)

        rest = self.family, beta, reference, exponent
        moments, total = summed(self.mesh, step)(prepared.blocks, rest)
        # A component that is off has no known rows: its coefficient must not meet their zero.
        used = jnp.where(beta > NEGLIGIBLE / 10, beta, 0)
        total = total + jnp.sum(prepared.known * used) - reference * jnp.sum(prepared.known[:, 0])
        common = prepared.common * self._common_coefficients(params)
        moments = moments + prepared.known
        size = jnp.sum(jnp.abs(moments * used)) + jnp.sum(jnp.abs(common))
        return Statistics(moments, prepared.common), total + jnp.sum(common), size

    def likelihood(self, params: MixtureParams, prepared: Prepared) -> jax.Array:
        """Σ w log p(x) f[] from log densities, where `expect` has products that lose digits (see
        `condition`)."""
        return mixture_steps.likelihood(self, params, prepared)

    def climbs(self) -> jax.Array:
        """Whether no step of plain EM lowers the objective b[]: not where `reg_covar` is added."""
        own = offered(self.family, Ridged)
        return jnp.all(jnp.asarray(0.0 if own is None else own.reg_covar) <= 0)

    def reported(self, params: MixtureParams, prepared: Prepared) -> MixtureParams:
        """Parameters in the units of the data, but for where these have their origin."""
        if prepared.frame is None:
            return params
        frame = replace(prepared.frame, shift=jnp.zeros_like(prepared.frame.shift))
        return original_params(self, params, frame)

    def e_step(
        self, params: MixtureParams, data: Any, base: Any = None
    ) -> tuple[Statistics, jax.Array]:
        """Statistics and log-likelihood f[]: sums over rows, linear in the weights.

        Features are those of x − base, so that data far from the origin keep their digits; the
        statistics carry the base point, and add where it is the same. None: the mean of the
        mixture, where that is more than eight standard deviations from the origin, else 0.
        """
        data = as_data(data)
        base = None if base is None else jnp.broadcast_to(base, data.x.shape[1:])
        base = base if base is None else base.astype(data.x.dtype)
        return mixture_steps.e_step(self, params, data, base)

    def m_step(self, stats: Statistics, params: MixtureParams) -> MixtureParams:
        """The argmax of expected log-likelihood plus log prior; what is off stays off."""
        inner, own, here, frame = mixture_steps.about(self, stats, params)
        moved = inner.family.maximize(own, here.components, self.frozen)
        if frame is not None:
            moved = original_params(self, replace(here, components=moved), frame).components
            moved = mixture_steps.kept(self, params.components, moved)
        if "weights" in self.frozen:
            return MixtureParams(params.weights, moved)
        count = stats.moments[:, 0]
        if self.weight_prior is not None:
            extra = jnp.asarray(self.weight_prior, count.dtype) - 1
            count = jnp.where(params.weights > 0, jnp.maximum(count + extra, 0), 0)
        return MixtureParams(count / jnp.sum(count), moved)

    def expected_log_likelihood(self, stats: Statistics, params: MixtureParams) -> jax.Array:
        """Q f[] = Σ moments · β + common · γ: what the M-step maximises, without Σ w log h."""
        inner, own, here, _ = mixture_steps.about(self, stats, params)
        beta = inner.coefficients(here)
        used = jnp.where(beta > NEGLIGIBLE / 10, beta, 0)
        common = inner._common_coefficients(here)
        return jnp.sum(own.moments * used) + jnp.sum(own.common * common)

    def expected_gain(self, stats: Statistics, new: MixtureParams, old: MixtureParams) -> jax.Array:
        """Q(new) − Q(old) f[], from differences of coefficients: digits that Q itself loses."""
        own = self.coefficients(new) - self.coefficients(old)
        common = self._common_coefficients(new) - self._common_coefficients(old)
        return jnp.sum(stats.moments * own) + jnp.sum(stats.common * common)

    def log_prior(self, params: MixtureParams) -> jax.Array:
        """Log prior density of the components and, with `weight_prior`, of the weights."""
        value = self.family.log_prior(params.components)
        if self.weight_prior is not None:
            a = jnp.broadcast_to(jnp.asarray(self.weight_prior, value.dtype), params.weights.shape)
            value = value + jnp.sum((a - 1) * jnp.where(a == 1, 0, safe_log(params.weights)))
            value = value + jax.scipy.special.gammaln(jnp.sum(a))
            value = value - jnp.sum(jax.scipy.special.gammaln(a))
        return value

    def normalized(self, params: MixtureParams) -> MixtureParams:
        """The same with sums of exactly 1 again, which rounding in a long extrapolation spoils."""
        weights = params.weights / jnp.sum(params.weights)
        return MixtureParams(weights, retract(self.family.constraints(), params.components))

    def seed(self, data: Any, resp: jax.Array) -> MixtureParams:
        """Parameters by one M-step on starting responsibilities f[n, k]."""
        data = as_data(data)
        return mixture_steps.seed(self, data, jnp.asarray(resp, data.x.dtype))

    def seed_within(self, data: Any, resp: jax.Array) -> MixtureParams:
        """As `seed`, of data that are in their frame already."""
        return mixture_steps.seed_within(self, data, jnp.asarray(resp, data.x.dtype))

    def blank(self, d: int, dtype: Any) -> MixtureParams:
        """Placeholder parameters of the right shapes: equal weights, the family's blank."""
        k = self.n_components
        return MixtureParams(jnp.full((k,), 1 / k, dtype), self.family.blank(k, d, dtype))

    diagnose = health.diagnose
    degenerate = health.degenerate
    condition = health.condition
    validate_settings = health.validate_settings
    usable = health.usable
    complaints = health.complaints

    def log_joint(self, params: MixtureParams, x: Any) -> jax.Array:
        """log π_k p(x|k) f[n, k], computed in blocks of rows."""
        return mixture_steps.log_joint(self, params, as_data(x).x)

    def log_prob(self, params: MixtureParams, x: Any) -> jax.Array:
        """Log density of each row f[n]."""
        return jax.nn.logsumexp(self.log_joint(params, x), axis=1)

    def predict_proba(self, params: MixtureParams, x: Any) -> jax.Array:
        """Posterior probability of each component f[n, k]."""
        return jax.nn.softmax(self.log_joint(params, x), axis=1)

    def predict(self, params: MixtureParams, x: Any) -> jax.Array:
        """The most probable component of each row i[n]."""
        return jnp.argmax(self.log_joint(params, x), axis=1)

    def sample(self, key: jax.Array, params: MixtureParams, n: int) -> tuple[jax.Array, jax.Array]:
        """n rows f[n, d] and the component each came from i[n]."""
        which, draw = jax.random.split(key)
        label = mixture_steps.draw_labels(which, params.weights, n)
        return self.family.sample(draw, params.components, label), label

    def n_parameters(self, d: int) -> int:
        """Free parameters, for BIC and AIC."""
        weights = 0 if "weights" in self.frozen else self.n_components - 1
        return weights + self.family.n_parameters(self.n_components, d, self.frozen)

    def init(self, key, x: Any, init: Any = "k-means++", weight: Any = None, active: Any = None):
        """Starting parameters by the named initialiser (see `jaxem.models.initializers`), which
        measures distances in the data's frame; components from `active` on are switched off."""
        return mixture_steps.init(self, key, as_data(x, weight), init, active)

    def init_within(self, key, data, init: Any, active: Any = None) -> MixtureParams:
        """As `init`, of data that are in their frame already."""
        embedded, k = self.family.embed(data.x), self.n_components
        resp = responsibilities(init, key, embedded, data.weight, k, active)
        return self.seed_within(data, resp)

    def regroup(self, key, params: MixtureParams, x: Any, weight: Any = None) -> MixtureParams:
        """Starting parameters that differ from `params` by a split and a merge (see
        `jaxem.models.proposals`); three components at least must have weight."""
        return mixture_steps.regroup(self, key, params, as_data(x, weight))

    def validate(self, x: np.ndarray) -> None:
        """Refuse, on the host, data or settings this model cannot take."""
        self.family.validate(x)
        self.validate_settings(x.shape[1])
