"""Steps of a mixture, compiled once per shape, so that they are fast outside a caller's `jit`
too."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jaxem.core.capabilities import offered
from jaxem.core.compiled import jitted
from jaxem.core.constraints import shared_fields
from jaxem.core.keys import as_key
from jaxem.core.model_protocol import BLOCK_ROWS
from jaxem.core.program_memory import make_room, roomy
from jaxem.core.protocols import Accurate, BasePoint, Given, Statistics
from jaxem.core.trees import replace
from jaxem.core.types import Init, Rows, Size
from jaxem.data.data import as_data
from jaxem.data.scaling import (
    Scaling,
    from_scaled,
    rescaled,
    scaling_within,
    to_scaled,
)
from jaxem.devices.collectives import filled, replicate, summed
from jaxem.kernels import SOFT, as_blocks, recut, softmax_step, weighted_moments, with_known
from jaxem.models.params import MixtureParams
from jaxem.models.proposals import split_and_merge
from jaxem.numerics import einsum, safe_log

if TYPE_CHECKING:
    from jaxem.models.mixture import Mixture


@roomy
@jitted
def e_step(model, params, data, base, assignment=SOFT):
    """Statistics about a base point, and the log-likelihood, of data that are not prepared."""
    pointed = offered(model.family, BasePoint)
    if base is None and pointed is not None:
        base = jax.lax.stop_gradient(pointed.base_point(params.components, params.weights))
    x, weight, label = data.x, data.weight, data.label
    if data.mesh is not None:
        x, weight, label = filled(data.mesh, x, weight, label)

    def own(rows, rest):
        return _sums(*rest, *rows)

    rest = model, params, base, assignment
    return replicate(data.mesh, summed(data.mesh, own)((x, weight, label), rest))


def _sums(model, params, base, assignment, x, weight, label):
    """Statistics about the base point, and log-likelihood, block by block of rows f[n, d]."""
    family, blocks = model.family, as_blocks(x, weight, BLOCK_ROWS)
    known = None if label is None else with_known(blocks, jnp.ones_like(weight), label + 1).known

    def one(columns, w, known):
        logits = log_joint_of(model, params, columns.T).T
        r, value = softmax_step(logits, w, assignment)
        if known is not None:
            member = jax.nn.one_hot(known[1] - 1, logits.shape[0], dtype=w.dtype, axis=0)
            there = (known[1] > 0)[None, :]
            r = jnp.where(there, member * w[None, :], r)
            value = jnp.where(there[0], jnp.sum(jnp.where(member > 0, logits, 0), axis=0), value)
        z = columns.T if base is None else columns.T - base[None, :]
        moments = einsum("km,pm->kp", r, family.features(z))
        common = einsum("m,cm->c", w, model.common_features(z))
        return Statistics(moments, common), jnp.sum(w * value)

    def add(carry, block):
        return jax.tree.map(jnp.add, carry, one(*block)), None

    pieces = blocks.columns, blocks.weight, known
    shapes = jax.eval_shape(one, *jax.tree.map(lambda leaf: leaf[0], pieces))
    start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    stats, total = jax.lax.scan(add, start, pieces)[0]
    if base is not None:
        stats = replace(stats, base=jnp.sum(weight) * base)
    return stats, total


def about(model, stats, params):
    """Model, statistics and parameters in units whose origin is the statistics' base point, and the
    scaling to these units. Without a base point: unchanged, and None."""
    if stats.base is None:
        return model, stats, params, None
    if not model.family_is_scaled:
        name = type(model.family).__name__
        raise ValueError(f"{name} has no base point: its parameters follow no change of units.")
    total = jnp.sum(stats.moments[:, 0])
    base = jax.lax.stop_gradient(stats.base / jnp.where(total > 0, total, 1))
    scaling = Scaling(base, jnp.ones_like(base))
    inner = rescaled(model, scaling)
    return inner, replace(stats, base=None), to_scaled(model, params, scaling), scaling


def likelihood(model, params, prepared):
    """Σ w log p(x) f[] from log densities instead of features: no large terms cancel."""

    def own(blocks, rest):
        alone, here = rest

        def add(carry, block):
            columns, w, known = block
            logits = log_joint_of(alone, here, columns.T).T
            level = softmax_step(logits, w)[1]
            if known is not None:
                there = jax.nn.one_hot(known[1], logits.shape[0], dtype=bool, axis=0)
                labelled = jnp.sum(jnp.where(there, logits, 0), axis=0)
                level, w = jnp.where(known[0] > 0, labelled, level), w + known[0]
            return _added(carry, _sum_about_mean(level, w)), None

        cut = recut(blocks, BLOCK_ROWS)
        start = jnp.zeros((2,), blocks.weight.dtype)
        total, lost = jax.lax.scan(add, start, (cut.columns, cut.weight, cut.known))[0]
        return total + lost

    return summed(prepared.mesh, own)(prepared.blocks, (model, params))


def _sum_about_mean(values, w):
    """Σ w · values f[], summed about the mean: the rounding error is about that of a single
    term."""
    weight = jnp.sum(w)
    mean = jnp.sum(w * values) / jnp.where(weight > 0, weight, 1)
    return mean * weight + jnp.sum(w * (values - mean))


def _added(carry, value):
    """f[2], a running sum and its rounding error, after adding a value (Knuth 1969)."""
    total, lost = carry
    new = total + value
    back = new - total
    return jnp.stack([new, lost + (total - (new - back)) + (value - back)])


def log_prior(model, params: MixtureParams) -> jax.Array:
    """Log prior density of the components and, with `weight_prior`, of the weights."""
    value = model.family.log_prior(params.components)
    if model.weight_prior is not None:
        a = jnp.broadcast_to(jnp.asarray(model.weight_prior, value.dtype), params.weights.shape)
        value = value + jnp.sum((a - 1) * jnp.where(a == 1, 0, safe_log(params.weights)))
        value = value + jax.scipy.special.gammaln(jnp.sum(a))
        value = value - jnp.sum(jax.scipy.special.gammaln(a))
    return value


@roomy
@jitted
def seed(model, data, resp):
    """One M-step on responsibilities f[n, k], in standard units and back."""
    scaling = scaling_within(model.family, data.x, data.weight)
    inner = rescaled(model, scaling)
    z = (data.x - scaling.shift[None, :]) / scaling.scale[None, :]
    return from_scaled(model, seed_within(inner, replace(data, x=z), resp), scaling)


@jitted
def seed_within(model, data, resp):
    """One M-step on responsibilities f[n, k], for data in standard units."""
    blocks = as_blocks(data.x, data.weight, BLOCK_ROWS)
    moments = weighted_moments(model.family.features, blocks, resp.T)
    common = weighted_moments(model.common_features, blocks)[0]
    blank = model.blank(data.x.shape[1], data.x.dtype)
    return replicate(data.mesh, model.m_step(Statistics(moments, common), blank))


def init(
    model: "Mixture",
    key: jax.Array | int,
    x: Rows,
    init: Init = "k-means++",
    weight: Rows = None,
    active: Size | None = None,
) -> MixtureParams:
    """Starting parameters by the named initialiser (see `jaxem.models.initializers`), which
    measures distances in standard units; components from `active` on are switched off. `key` may be
    an integer."""
    key, data = as_key(key), as_data(x, weight)
    scaling = scaling_within(model.family, jnp.asarray(data.x), jnp.asarray(data.weight))
    z = (data.x - scaling.shift[None, :]) / scaling.scale[None, :]
    inner = rescaled(model, scaling)
    return from_scaled(model, inner.start(key, replace(data, x=z), init, active), scaling)


@roomy
@jitted
def propose(model, key, params, data):
    """Starting parameters that differ from `params` by a split and a merge."""
    family = model.family
    blocks = as_blocks(data.x, data.weight, BLOCK_ROWS)
    common = weighted_moments(model.common_features, blocks)[0]

    def moments(resp):
        return weighted_moments(family.features, blocks, resp.T)

    def value(moments):
        stats, count = Statistics(moments, common), moments[:, 0]
        # Shared parameters stay fixed: merged or split components alone do not cover all rows.
        best = family.maximize(stats, params.components, shared_fields(family.constraints()))
        return jnp.sum(moments * family.coefficients(best), axis=1) + count * safe_log(count)

    resp, active = model.predict_proba(params, data.x), params.weights > 0
    embedded = family.embed(data.x)
    child = split_and_merge(key, embedded, data.weight, resp, active, moments, value)
    return seed_within(model, data, child)


@roomy
@jitted
def log_joint(model, params, x):
    """log π_k p(x|k) f[n, k], a block of rows at a time."""
    blocks = as_blocks(x, jnp.ones(x.shape[:1], x.dtype), BLOCK_ROWS)
    joint = jax.lax.map(lambda columns: log_joint_of(model, params, columns.T), blocks.columns)
    return joint.reshape(-1, model.n_components)[: x.shape[0]]


def log_joint_of(model, params, x):
    """log π_k p(x|k) f[n, k] of a block of rows."""
    family = model.family
    accurate = offered(family, Accurate)
    if accurate is not None:
        return accurate.log_density(params.components, x) + safe_log(params.weights)[None, :]
    logits = einsum("kp,pn->nk", model.coefficients(params), family.features(x))
    return logits + family.log_base(x)[:, None]


@jitted
def features(family, row):
    """For `eval_shape` only, never run: `jit` caches the shapes, which take a millisecond to
    trace."""
    return family.features(row)


def draw_labels(key, weights, n):
    """The components that n rows come from i[n]."""
    make_room()
    return jax.random.categorical(key, safe_log(weights), shape=(n,))


def kept(model: "Mixture", given: MixtureParams, moved: MixtureParams) -> MixtureParams:
    """`moved`, with frozen parameters of components exactly as in `given` and known ones exactly as
    in the family: a change of units rounds."""
    names = [name for name in model.frozen if name != "weights"]
    own = replace(moved.components, **{name: getattr(given, name) for name in names})
    exact = offered(model.family, Given)
    return replace(moved, components=own if exact is None else exact.exact(own))


def exact_is_cheap(model) -> bool:
    """Whether the likelihood from log densities costs little more than a step."""
    accurate = offered(model.family, Accurate)
    return accurate is not None and accurate.residual_form
