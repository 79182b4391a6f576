"""A mixture's steps, compiled once per shape, so that they are quick outside the caller's `jit`
too."""

import jax
import jax.numpy as jnp

from jaxem.compiler import jitted
from jaxem.kernels import as_blocks, weighted_moments, whole
from jaxem.numerics import einsum, safe_log
from jaxem.protocols import Statistics
from jaxem.pytree import replace
from jaxem.regroup import split_and_merge
from jaxem.room import make_room, roomy

#: Rows per block where nobody who knows the number of lanes has said otherwise.
BLOCK_ROWS = 2048


@roomy
@jitted
def e_step(model, params, data):
    """Statistics and log-likelihood of data that are not prepared yet."""
    prepared = model.prepare(data)
    stats, total, _ = model.expect(params, prepared, jnp.zeros((), prepared.base.dtype))
    return whole(model.mesh, (stats, total + prepared.base))


def prepare_rows(model, data, rows):
    """The blocks, and the rest of `Prepared`, which are sums over rows."""
    prepared = model.prepare(data, rows)
    return prepared.blocks, replace(prepared, blocks=None)


@roomy
@jitted
def seed(model, data, resp):
    """One M-step on responsibilities f[n, k]."""
    blocks = as_blocks(data.x, data.weight, BLOCK_ROWS)
    moments = weighted_moments(model.family.features, blocks, resp.T)
    common = weighted_moments(model.common_features, blocks)[0]
    blank = model.blank(data.x.shape[1], data.x.dtype)
    return whole(model.mesh, model.m_step(Statistics(moments, common), blank))


@roomy
@jitted
def regroup(model, key, params, data):
    """Starting parameters that differ from `params` by a split and a merge."""
    family = model.family
    blocks = as_blocks(data.x, data.weight, BLOCK_ROWS)
    common = weighted_moments(model.common_features, blocks)[0]

    def moments(resp):
        return weighted_moments(family.features, blocks, resp.T)

    def value(moments):
        stats, count = Statistics(moments, common), moments[:, 0]
        # What all components share stays: merged and split ones do not add up to all rows.
        best = family.maximize(stats, params.components, family.shared)
        return jnp.sum(moments * family.coefficients(best), axis=1) + count * safe_log(count)

    resp, active = model.predict_proba(params, data.x), params.weights > 0
    embedded = family.embed(data.x)
    child = split_and_merge(key, embedded, data.weight, resp, active, moments, value)
    return model.seed(data, child)


@roomy
@jitted
def log_joint(model, params, x):
    """log π_k p(x|k) f[n, k], a block of rows at a time."""
    family = model.family

    def block(x):
        if hasattr(family, "log_density"):
            own = family.log_density(params.components, x)
            return own + safe_log(params.weights)[None, :]
        logits = einsum("kp,pn->nk", model.coefficients(params), family.features(x))
        return logits + family.log_base(x)[:, None]

    blocks = as_blocks(x, jnp.ones(x.shape[:1], x.dtype), BLOCK_ROWS)
    joint = jax.lax.map(lambda columns: block(columns.T), blocks.columns)
    return joint.reshape(-1, model.n_components)[: x.shape[0]]


def draw_labels(key, weights, n):
    """The components that n rows come from i[n]."""
    make_room()
    return jax.random.categorical(key, safe_log(weights), shape=(n,))
