"""A finite mixture of any family: the E-step is a softmax between two matrix products."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.checks import positive
from jaxem.data import Data, as_data
from jaxem.initialize import responsibilities
from jaxem.kernels import (
    as_blocks,
    as_one_block,
    each_device,
    filled,
    padded_rows,
    softmax_moments,
    summed,
    weighted_moments,
    with_features,
)
from jaxem.models import programs
from jaxem.models.values import MixtureParams, Prepared
from jaxem.numerics import NEGLIGIBLE, ROUNDOFF, check_precision, safe_log
from jaxem.protocols import Statistics
from jaxem.pytree import pytree, replace, static
from jaxem.status import Status

#: A component this much narrower (in variance) than the pooled components is a spurious sliver.
NARROWNESS_LIMIT = 1e8

#: What is looked for, not met by chance, is near a spurious maximum sooner: on fewer than so many
#: times the rows that any component fits, or this much narrower.
STRICT = (3, 1e3)


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

    family: Any
    n_components: int = static()
    assignment: str = static(default="soft")
    exponent: Any = None
    weight_prior: Any = None
    frozen: tuple[str, ...] = static(default=())
    kernel: str = static(default="blocked")
    precision: str = static(default="float32")
    mesh: Any = static(default=None)

    @property
    def family_is_scaled(self) -> bool:
        """Whether the family maps its parameters under a change of units of x."""
        return getattr(self.family, "scale_kind", "none") != "none"

    def prepare(self, data: Any, rows: int = programs.BLOCK_ROWS) -> Prepared:
        """Blocks of at most `rows` rows, and the sums that do not change between iterations."""
        data = as_data(data)
        if self.mesh is not None:
            data = Data(*filled(self.mesh, data.x, data.weight, data.label))
            own = each_device(
                self.mesh, lambda data, model: programs.prepare_rows(model, data, rows)
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
        return Prepared(blocks, base, known, common, total, count)

    def keep_features(self, prepared: Prepared) -> Prepared:
        """`prepared` with φ of every row kept: for rows that only few lanes share."""
        if self.kernel == "fused" and hasattr(self.family, "products"):
            return prepared  # The kernel makes φ on chip.
        return replace(prepared, blocks=with_features(self.family.features, prepared.blocks))

    def _products(self, d: int):
        return self.family.products(d) if hasattr(self.family, "products") else None

    def common_features(self, x: jax.Array) -> jax.Array:
        """ψ f[c, n], the features all components share; none for most families."""
        return self.family.common_features(x) if _has_common(self.family) else x.T[:0]

    def _common_coefficients(self, params):
        if _has_common(self.family):
            return self.family.common_coefficients(params.components)
        return jnp.zeros((0,), params.weights.dtype)

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

    def e_step(self, params: MixtureParams, data: Any) -> tuple[Statistics, jax.Array]:
        """Statistics and log-likelihood f[]: sums over rows, linear in the weights."""
        return programs.e_step(self, params, as_data(data))

    def m_step(self, stats: Statistics, params: MixtureParams) -> MixtureParams:
        """The argmax of expected log-likelihood plus log prior; what is off stays off."""
        components = self.family.maximize(stats, params.components, self.frozen)
        if "weights" in self.frozen:
            return MixtureParams(params.weights, components)
        count = stats.moments[:, 0]
        if self.weight_prior is not None:
            extra = jnp.asarray(self.weight_prior, count.dtype) - 1
            count = jnp.where(params.weights > 0, jnp.maximum(count + extra, 0), 0)
        return MixtureParams(count / jnp.sum(count), components)

    def expected_log_likelihood(self, stats: Statistics, params: MixtureParams) -> jax.Array:
        """Q f[] = Σ moments · β + common · γ: what the M-step maximises, without Σ w log h."""
        beta = self.coefficients(params)
        used = jnp.where(beta > NEGLIGIBLE / 10, beta, 0)
        return jnp.sum(stats.moments * used) + jnp.sum(
            stats.common * self._common_coefficients(params)
        )

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
        own = getattr(self.family, "normalized", lambda components: components)
        return MixtureParams(params.weights / jnp.sum(params.weights), own(params.components))

    def seed(self, data: Any, resp: jax.Array) -> MixtureParams:
        """Parameters by one M-step on starting responsibilities f[n, k]."""
        data = as_data(data)
        return programs.seed(self, data, jnp.asarray(resp, data.x.dtype))

    def blank(self, d: int, dtype: Any) -> MixtureParams:
        """Placeholder parameters of the right shapes: equal weights, the family's blank."""
        k = self.n_components
        return MixtureParams(jnp.full((k,), 1 / k, dtype), self.family.blank(k, d, dtype))

    def diagnose(self, params: MixtureParams, stats: Statistics, prepared: Prepared) -> jax.Array:
        """A status for unusable parameters, else RUNNING: what the M-step left behind."""
        active = params.weights > 0
        healthy = self.family.healthy(params.components, stats)
        sick = jnp.any(~healthy & active)
        floor = 1e-8 * prepared.weight / jnp.maximum(prepared.rows, 1)
        count = stats.moments[:, 0]
        empty = jnp.any(active & (count < floor)) & ("weights" not in self.frozen)
        empty = empty | jnp.any(params.weights < 0)  # only an extrapolation can do this
        status = jnp.where(sick, Status.SINGULAR, Status.RUNNING)
        return jnp.where(empty, Status.EMPTY_COMPONENT, status).astype(jnp.int32)

    def degenerate(
        self, params: MixtureParams, stats: Statistics, prepared: Prepared, strict: bool = False
    ) -> jax.Array:
        """True for a spurious maximum: a component hardly above the rows that any component of
        its family fits, or narrower than the pooled components by `NARROWNESS_LIMIT`. `strict`:
        also for what is near one, by `STRICT`."""
        factor, limit = STRICT if strict else (1, NARROWNESS_LIMIT)
        family = self.family
        judged = hasattr(family, "min_rows") and family.prior is None and self.assignment == "soft"
        if not judged or "covariances" in self.frozen:
            return jnp.zeros((), bool)
        active = params.weights > 0
        rows = stats.moments[:, 0] * prepared.rows / prepared.weight
        few = rows < factor * family.min_rows(prepared.blocks.columns.shape[-2]) + 0.5
        sliver = family.narrowness(params.components, params.weights) > limit
        return jnp.any(active & (few | sliver)) & (jnp.sum(active) > 1)

    def condition(self, params: MixtureParams) -> jax.Array:
        """How many roundings of float32 the logits can lose f[]: 0 for families without squares,
        unless a fast precision loses more."""
        lost = jnp.zeros((), params.weights.dtype)
        if hasattr(self.family, "condition"):
            own = self.family.condition(params.components)
            lost = jnp.max(jnp.where(params.weights > 0, own, 0))
        unit = ROUNDOFF[self.precision]
        # Where nothing cancels, the terms of a logit are still of this size.
        return lost if unit == 1 else unit * (lost + 10)

    def log_joint(self, params: MixtureParams, x: Any) -> jax.Array:
        """log π_k p(x|k) f[n, k], computed in blocks of rows."""
        return programs.log_joint(self, params, as_data(x).x)

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
        label = programs.draw_labels(which, params.weights, n)
        return self.family.sample(draw, params.components, label), label

    def n_parameters(self, d: int) -> int:
        """Free parameters, for BIC and AIC."""
        weights = 0 if "weights" in self.frozen else self.n_components - 1
        return weights + self.family.n_parameters(self.n_components, d, self.frozen)

    def init(self, key, x: Any, init: Any = "k-means++", weight: Any = None, active: Any = None):
        """Starting parameters by the named initialiser (see `jaxem.initialize`); components from
        `active` on are switched off."""
        data, k = as_data(x, weight), self.n_components
        embedded = self.family.embed(data.x)
        return self.seed(data, responsibilities(init, key, embedded, data.weight, k, active))

    def regroup(self, key, params: MixtureParams, x: Any, weight: Any = None) -> MixtureParams:
        """Starting parameters that differ from `params` by a split and a merge (see
        `jaxem.regroup`); three components at least must have weight."""
        return programs.regroup(self, key, params, as_data(x, weight))

    def validate(self, x: np.ndarray) -> None:
        """Refuse, on the host, data or settings this model cannot take."""
        self.family.validate(x)
        self.validate_settings(x.shape[1])

    def validate_settings(self, d: int) -> None:
        """Refuse, on the host, settings that no data f[n, d] could make sense of."""
        if self.assignment not in ("soft", "hard"):
            raise ValueError(f"assignment must be 'soft' or 'hard'; got {self.assignment!r}.")
        check_precision(self.precision)
        if self.exponent is not None:
            positive("exponent", self.exponent)
        if self.weight_prior is not None:
            positive("weight_prior", self.weight_prior)
        blank = jax.eval_shape(lambda: self.family.blank(self.n_components, d, np.float32))
        names = ("weights", *vars(blank))
        unknown = set(self.frozen) - set(names)
        if unknown:
            raise ValueError(
                f"frozen names {sorted(unknown)}, but this mixture has {', '.join(names)}."
            )

    def usable(self, params: MixtureParams) -> jax.Array:
        """b[]: the parameters define a density (weights on the simplex, healthy components)."""
        on_simplex = jnp.all(params.weights >= 0) & (jnp.abs(jnp.sum(params.weights) - 1) < 1e-3)
        return on_simplex & jnp.all(self.family.usable(params.components) | (params.weights <= 0))


def _has_common(family: Any) -> bool:
    return hasattr(family, "common_features")
