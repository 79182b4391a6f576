"""A finite mixture of any family: the E-step is a softmax between two matrix products."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.data import as_data
from jaxem.initialize import responsibilities
from jaxem.kernels import Blocks, as_blocks, softmax_moments
from jaxem.numerics import einsum, safe_log
from jaxem.pytree import pytree, static
from jaxem.status import Status

#: Rows per block: with eight components and 64 restarts the logits of a block stay in cache.
BLOCK_ROWS = 2048


@pytree
class MixtureParams:
    """Weights f[k] and the family's own parameters, which also answer by name (`.means`)."""

    weights: jax.Array  # f[k]
    components: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("weights", "components"):
            raise AttributeError(name)
        return getattr(self.components, name)


@pytree
class Prepared:
    """What the E-step needs of the data, computed once outside the loop."""

    blocks: Blocks
    base: jax.Array  # f[], Σ w log h(x) over all rows
    known: jax.Array  # f[k, p], moments of the rows whose component is known
    weight: jax.Array  # f[], total weight
    rows: jax.Array  # f[], rows of positive weight


@pytree
class Mixture:
    """Mixture of `n_components` members of `family`; all methods are pure and unbatched.

    `assignment` is "soft" (EM) or "hard" (classification EM). `exponent` tempers the soft
    responsibilities r ∝ exp(exponent · logits): below 1 for annealing (Ueda and Nakano 1998).
    `weight_prior` is the Dirichlet concentration of the weights, None for maximum likelihood.
    `frozen` names parameters that keep their start: "weights" or fields of the family.
    """

    family: Any
    n_components: int = static()
    assignment: str = static(default="soft")
    exponent: Any = 1.0
    weight_prior: Any = None
    frozen: tuple[str, ...] = static(default=())
    block_rows: int = static(default=BLOCK_ROWS)

    @property
    def family_is_scaled(self) -> bool:
        """Whether the family maps its parameters under a change of units of x."""
        return getattr(self.family, "scale_kind", "none") != "none"

    def prepare(self, data: Any) -> Prepared:
        """Blocks of rows, and the sums that do not change between iterations."""
        data = as_data(data)
        x, weight = data.x, data.weight
        base = jnp.sum(weight * self.family.log_base(x))
        total, rows = jnp.sum(weight), jnp.sum((weight > 0).astype(x.dtype))
        phi_rows = jax.eval_shape(self.family.features, x).shape[0]
        known = jnp.zeros((self.n_components, phi_rows), x.dtype)
        if data.label is not None:
            member = jnp.arange(self.n_components)[:, None] == data.label[None, :]
            known = einsum(
                "kn,pn->kp", jnp.where(member, weight[None, :], 0), self.family.features(x)
            )
            weight = jnp.where(data.label >= 0, 0, weight)
        return Prepared(as_blocks(x, weight, self.block_rows), base, known, total, rows)

    def coefficients(self, params: MixtureParams) -> jax.Array:
        """β f[k, p]: the family's coefficients with log π_k added to the constant."""
        beta = self.family.coefficients(params.components)
        return beta.at[:, 0].add(safe_log(params.weights))

    def expect(self, params, prepared: Prepared, reference):
        """Moments f[k, p] and Σ w (logsumexp − reference), the base left out."""
        beta = self.coefficients(params)
        exponent = jnp.asarray(self.exponent, beta.dtype)
        hard = self.assignment == "hard"
        moments, total = softmax_moments(
            self.family.features, beta, prepared.blocks, reference, exponent, hard
        )
        used = jnp.where(beta > -1e29, beta, 0)
        total = total + jnp.sum(prepared.known * used) - reference * jnp.sum(prepared.known[:, 0])
        return moments + prepared.known, total

    def e_step(self, params: MixtureParams, data: Any) -> tuple[jax.Array, jax.Array]:
        """Statistics f[k, p] and log-likelihood f[]: sums over rows, linear in the weights."""
        prepared = self.prepare(data)
        moments, total = self.expect(params, prepared, jnp.zeros((), prepared.base.dtype))
        return moments, total + prepared.base

    def m_step(self, stats: jax.Array, params: MixtureParams) -> MixtureParams:
        """The argmax of expected log-likelihood plus log prior; what is off stays off."""
        components = self.family.maximize(stats, params.components, self.frozen)
        if "weights" in self.frozen:
            return MixtureParams(params.weights, components)
        count = stats[:, 0]
        if self.weight_prior is not None:
            extra = jnp.asarray(self.weight_prior, count.dtype) - 1
            count = jnp.where(params.weights > 0, jnp.maximum(count + extra, 0), 0)
        return MixtureParams(count / jnp.sum(count), components)

    def log_prior(self, params: MixtureParams) -> jax.Array:
        """Log prior density of the components and, with `weight_prior`, of the weights."""
        value = self.family.log_prior(params.components)
        if self.weight_prior is not None:
            a = jnp.broadcast_to(jnp.asarray(self.weight_prior, value.dtype), params.weights.shape)
            value = value + jnp.sum((a - 1) * jnp.where(a == 1, 0, safe_log(params.weights)))
            value = value + jax.scipy.special.gammaln(jnp.sum(a))
            value = value - jnp.sum(jax.scipy.special.gammaln(a))
        return value

    def seed(self, data: Any, resp: jax.Array) -> MixtureParams:
        """Parameters by one M-step on starting responsibilities f[n, k]."""
        data = as_data(data)
        r = jnp.asarray(resp, data.x.dtype).T * data.weight[None, :]
        moments = einsum("kn,pn->kp", r, self.family.features(data.x))
        return self.m_step(moments, self.blank(data.x.shape[1], data.x.dtype))

    def blank(self, d: int, dtype: Any) -> MixtureParams:
        """Placeholder parameters of the right shapes: equal weights, the family's blank."""
        k = self.n_components
        return MixtureParams(jnp.full((k,), 1 / k, dtype), self.family.blank(k, d, dtype))

    def diagnose(self, params: MixtureParams, stats: jax.Array, prepared: Prepared) -> jax.Array:
        """A status for unusable parameters, else RUNNING: what the M-step left behind."""
        active = params.weights > 0
        healthy = self.family.healthy(params.components, stats)
        sick = jnp.any(~healthy & active)
        floor = 1e-8 * prepared.weight / jnp.maximum(prepared.rows, 1)
        empty = jnp.any(active & (stats[:, 0] < floor)) & ("weights" not in self.frozen)
        status = jnp.where(sick, Status.SINGULAR, Status.RUNNING)
        return jnp.where(empty, Status.EMPTY_COMPONENT, status).astype(jnp.int32)

    def degenerate(self, params: MixtureParams, stats: jax.Array, prepared: Prepared) -> jax.Array:
        """True for a spurious maximum: a component on fewer effective rows than it needs."""
        d = prepared.blocks.x.shape[-1]
        need = self.family.n_parameters(1, d, self.frozen) > d
        rows = stats[:, 0] * prepared.rows / prepared.weight
        few = jnp.any((params.weights > 0) & (rows < d + 1))
        return few & need & (self.assignment == "soft") & (not self.family.shared)

    def log_joint(self, params: MixtureParams, x: Any) -> jax.Array:
        """log π_k p(x|k) f[n, k]."""
        x = as_data(x).x
        logits = einsum("kp,pn->nk", self.coefficients(params), self.family.features(x))
        return logits + self.family.log_base(x)[:, None]

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
        label = jax.random.categorical(which, safe_log(params.weights), shape=(n,))
        return self.family.sample(draw, params.components, label), label

    def n_parameters(self, d: int) -> int:
        """Free parameters, for BIC and AIC."""
        weights = 0 if "weights" in self.frozen else self.n_components - 1
        return weights + self.family.n_parameters(self.n_components, d, self.frozen)

    def init(self, key: jax.Array, x: Any, init: str = "k-means++", weight: Any = None):
        """Starting parameters by the named initialiser (see `jaxem.initialize`)."""
        data = as_data(x, weight)
        return self.seed(
            data,
            responsibilities(init, key, self.family.embed(data.x), data.weight, self.n_components),
        )

    def validate(self, x: np.ndarray) -> None:
        """Refuse, on the host, data or settings this model cannot take."""
        if self.assignment not in ("soft", "hard"):
            raise ValueError(f"assignment must be 'soft' or 'hard'; got {self.assignment!r}.")
        self.family.validate(x)
