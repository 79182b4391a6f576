"""Judgements of parameters: unusable, spurious, or short of digits; and of a mixture's settings."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered
from jaxem.core.constraints import complaint
from jaxem.core.protocols import Accurate, Bounded, Statistics, check_family
from jaxem.core.status import Status
from jaxem.core.validation import positive
from jaxem.models.params import MixtureParams, Prepared
from jaxem.numerics import ROUNDOFF, check_precision

#: A component this much narrower (in variance) than the pooled components is a spurious sliver.
NARROWNESS_LIMIT = 1e8

#: What is looked for, not met by chance, is near a spurious maximum sooner: on fewer than so many
#: times the rows that any component fits, or this much narrower.
STRICT = (3, 1e3)


def diagnose(self: Any, params: MixtureParams, stats: Statistics, prepared: Prepared) -> jax.Array:
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
    self: Any, params: MixtureParams, stats: Statistics, prepared: Prepared, strict: bool = False
) -> jax.Array:
    """True for a spurious maximum: a component hardly above the rows that any component of
    its family fits, or narrower than the pooled components by `NARROWNESS_LIMIT`. `strict`:
    also for what is near one, by `STRICT`."""
    factor, limit = STRICT if strict else (1, NARROWNESS_LIMIT)
    family = offered(self.family, Bounded)
    judged = self.family.prior is None and self.assignment == "soft"
    least = 0 if family is None else family.min_rows(prepared.blocks.columns.shape[-2])
    if family is None or not least or not judged or "covariances" in self.frozen:
        return jnp.zeros((), bool)
    active = params.weights > 0
    rows = stats.moments[:, 0] * prepared.rows / prepared.weight
    few = rows < factor * least + 0.5
    sliver = family.narrowness(params.components, params.weights) > limit
    return jnp.any(active & (few | sliver)) & (jnp.sum(active) > 1)


def condition(self: Any, params: MixtureParams) -> jax.Array:
    """How many roundings of float32 the logits can lose f[]: 0 for families without squares,
    unless a fast precision loses more."""
    lost = jnp.zeros((), params.weights.dtype)
    accurate = offered(self.family, Accurate)
    if accurate is not None:
        own = accurate.condition(params.components)
        lost = jnp.max(jnp.where(params.weights > 0, own, 0))
    unit = ROUNDOFF[self.precision]
    # Where nothing cancels, the terms of a logit are still of this size.
    return lost if unit == 1 else unit * (lost + 10)


def validate_settings(self: Any, d: int) -> None:
    """Refuse, on the host, settings that no data f[n, d] could make sense of."""
    check_family(type(self.family))
    if self.assignment not in ("soft", "hard"):
        raise ValueError(f"assignment must be 'soft' or 'hard'; got {self.assignment!r}.")
    check_precision(self.precision)
    if self.exponent is not None:
        positive("exponent", self.exponent)
    if self.weight_prior is not None:
        positive("weight_prior", self.weight_prior)
    blank = jax.eval_shape(lambda: self.family.blank(self.n_components, d, np.float32))
    names = ("weights", *vars(blank))
    constrained = self.constraints()
    if set(constrained) != set(names):
        raise ValueError(
            f"{type(self.family).__name__}.constraints must name {', '.join(vars(blank))}; it "
            f"names {', '.join(self.family.constraints())}."
        )
    unknown = set(self.frozen) - set(names)
    if unknown:
        raise ValueError(
            f"frozen names {sorted(unknown)}, but this mixture has {', '.join(names)}."
        )


def usable(self: Any, params: MixtureParams) -> jax.Array:
    """b[]: the parameters define a density (weights on the simplex, healthy components)."""
    on_simplex = jnp.all(params.weights >= 0) & (jnp.abs(jnp.sum(params.weights) - 1) < 1e-3)
    return on_simplex & jnp.all(self.family.usable(params.components) | (params.weights <= 0))


def complaints(self: Any, params: MixtureParams) -> str:
    """The fields that break their constraints, and how (host); empty where none does. What a
    component that is off has there does not matter."""
    active = np.asarray(params.weights) > 0
    found = []
    for name, constraint in self.constraints().items():
        value = np.asarray(getattr(params, name), float)
        why = complaint(constraint, value if constraint.shared else value[active])
        found += [f"{name} {why}"] if why else []
    return "; ".join(found)
