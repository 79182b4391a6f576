"""The front door: `em` (one fit, pure) and `fit` (many starts), and the `Fit` they return."""

from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem import engine
from jaxem.data import Data, as_data, check_data
from jaxem.models import Mixture, MixtureParams
from jaxem.pytree import pytree, replace
from jaxem.status import MESSAGES, SOUND, Status
from jaxem.stopping import RULES

try:
    from jax import enable_x64 as _enable_x64
except ImportError:
    from jax.experimental import enable_x64 as _enable_x64


@pytree
class Fit:
    """Finished fits; lane axes lead every leaf, and `fit[i]` indexes all of them."""

    params: Any
    log_likelihood: Any  # f[...], total, of exactly these parameters
    objective: Any  # f[...], log-likelihood (classification likelihood if hard) + log prior
    status: Any  # i[...], see `jaxem.Status`
    n_iter: Any  # i[...]
    trace: Any = None  # f[..., max_iter + 1], objective after each iteration, NaN after the end

    def __getitem__(self, index: Any) -> "Fit":
        return jax.tree.map(lambda leaf: leaf[index], self)

    @property
    def converged(self) -> Any:
        """True where the stopping rule was met."""
        return self.status == Status.CONVERGED

    @property
    def sound(self) -> np.ndarray:
        """True for fits that `best()` may choose."""
        return np.isin(np.asarray(self.status), SOUND)

    def best(self) -> "Fit":
        """The sound fit of highest objective, lane axis dropped; ValueError when none is sound."""
        sound = self.sound
        if not sound.any():
            raise ValueError(f"No sound fit among {sound.size}: {self.summary()}")
        value = np.where(sound, np.asarray(self.objective), -np.inf)
        return self if value.ndim == 0 else self[np.unravel_index(value.argmax(), value.shape)]

    def summary(self) -> str:
        """How many fits ended how, with the remedy for each kind of failure."""
        codes, counts = np.unique(np.asarray(self.status), return_counts=True)
        parts = [
            f"{n} {Status(c).name} ({MESSAGES[Status(c)]})"
            for c, n in zip(codes, counts, strict=True)
        ]
        return "; ".join(parts) + "."


def em(
    model: Mixture,
    params: MixtureParams,
    x: Any,
    *,
    sample_weight: Any = None,
    labels: Any = None,
    tol: Any = 1e-6,
    max_iter: Any = 500,
    stop: str = "log_likelihood",
    guard: Any = True,
    trace: int = 0,
) -> Fit:
    """Fit one model by EM from given parameters: pure, for your `jit` and `vmap`.

    x f[n, d] or `Data`; tol is per unit weight (scikit-learn's meaning); `stop` names a rule of
    `jaxem.stopping`. `trace=m` (static, at least max_iter) also returns the objective after each
    of up to m iterations. `guard=False` accepts steps that lower the objective. Never raises on
    data: look at `.status`.
    """
    if stop not in RULES:
        raise ValueError(f"stop must be one of {', '.join(RULES)}; got {stop!r}.")
    control = engine.Control(tol, max_iter, guard, stop)
    prepared = model.prepare(as_data(x, sample_weight, labels))
    return _em(model, params, prepared, control, trace)


@partial(jax.jit, static_argnames="trace")
def _em(model, params, prepared, control, trace):
    run = engine.start(model, params, prepared)
    record = jnp.full((trace + 1,), jnp.nan, prepared.base.dtype)
    record = record.at[0].set(_objective(run, prepared))

    def body(carry):
        run, record = carry
        run = engine.step(model, prepared, control, run)
        return run, record.at[run.n_iter].set(_objective(run, prepared), mode="drop")

    going = lambda carry: (carry[0].status == Status.RUNNING) & (carry[0].n_iter < control.max_iter)  # noqa: E731
    run, record = jax.lax.while_loop(going, body, (run, record))
    fit = _finish(model, prepared, run)
    return replace(fit, trace=record) if trace else fit


def _objective(run, prepared):
    return engine.objective(run.point) * prepared.weight + prepared.base


def _finish(model, prepared, run) -> Fit:
    point, status = run.point, run.status
    status = jnp.where(status == Status.RUNNING, Status.MAX_ITER, status)
    spurious = model.degenerate(point.params, point.stats, prepared)
    usable = jnp.any(jnp.stack([status == code for code in SOUND]))
    status = jnp.where(usable & spurious, Status.DEGENERATE, status).astype(jnp.int32)
    likelihood = _likelihood(model, prepared, point)
    return Fit(point.params, likelihood, _objective(run, prepared), status, run.n_iter)


def _likelihood(model, prepared, point):
    if model.assignment == "soft" and model.exponent is Mixture.exponent:
        mean = point.level + point.rest
    else:
        soft = replace(model, assignment="soft", exponent=1.0)
        mean = soft.expect(point.params, prepared, point.level)[1] / prepared.weight + point.level
    return mean * prepared.weight + prepared.base


def fit(
    model: Mixture,
    x: Any,
    *,
    key: jax.Array,
    n_starts: int = 32,
    init: Any = "k-means++",
    sample_weight: Any = None,
    labels: Any = None,
    tol: float = 1e-6,
    max_iter: int = 500,
    stop: str = "log_likelihood",
) -> Fit:
    """Fit `model` from `n_starts` starts at once; returns a `Fit` with axis [starts].

    `init` is "k-means++", "kmeans", "random", "random_from_data", a callable
    `(key, x, weight, k) -> f[n, k]`, or one start given as parameters, labels i[n] or
    responsibilities f[n, k]. The data are standardised once, and parameters and likelihood mapped
    back exactly. float64 x is fitted in float64 (results are then NumPy arrays where JAX's x64
    mode is off), anything narrower in float32. Start i depends on (key, i) alone. Raises
    ValueError for data or arguments that cannot be fitted; a start that fails has a status.
    """
    array = check_data(x, sample_weight, labels, model.n_components)
    model.validate(array)
    if n_starts < 1:
        raise ValueError(f"n_starts must be at least 1; got {n_starts}.")
    if stop not in RULES:
        raise ValueError(f"stop must be one of {', '.join(RULES)}; got {stop!r}.")
    wide = array.dtype == np.float64 and not jax.config.jax_enable_x64  # type: ignore[attr-defined]
    array = array if array.dtype == np.float64 else array.astype(np.float32)
    with _enable_x64(True) if wide else nullcontext():
        result = _fit(model, array, key, n_starts, init, sample_weight, labels, tol, max_iter, stop)
        return jax.tree.map(np.asarray, result) if wide else result


def _fit(model, array, key, n_starts, init, weight, labels, tol, max_iter, stop) -> Fit:
    shift, scale = _frame(model.family, array, weight)
    z = (array - shift) / scale
    shift, scale = jnp.asarray(shift), jnp.asarray(scale)
    inner = _standardized(model, shift, scale)
    data = as_data(z, weight, labels)
    starts = _starts(inner, data, key, n_starts, init, shift, scale)
    control = engine.Control(tol, max_iter, True, stop)
    fits = _fit_lanes(inner, starts, data, control)
    if model.family_is_scaled:
        mapped = jax.vmap(lambda p: _unstandardize(model, p, shift, scale))(fits.params)
        jacobian = jnp.sum(data.weight) * jnp.sum(jnp.log(scale))
        fits = replace(
            fits,
            params=mapped,
            log_likelihood=fits.log_likelihood - jacobian,
            objective=fits.objective - jacobian,
        )
    return fits


@jax.jit
def _fit_lanes(model, starts, data, control) -> Fit:
    prepared = model.prepare(data)
    runs = jax.vmap(lambda p: engine.start(model, p, prepared))(starts)

    def body(runs):
        new = jax.vmap(lambda r: engine.step(model, prepared, control, r))(runs)
        keep = jax.vmap(engine.select)
        return keep(runs.status == Status.RUNNING, new, runs)

    def going(runs):
        return jnp.any((runs.status == Status.RUNNING) & (runs.n_iter < control.max_iter))

    runs = jax.lax.while_loop(going, body, runs)
    return jax.vmap(lambda r: _finish(model, prepared, r))(runs)


def _frame(family, array, weight) -> tuple[np.ndarray, np.ndarray]:
    """Shift and scale f[d], computed in float64 on the host; identity for unscaled families."""
    d = array.shape[1]
    kind = getattr(family, "scale_kind", "none")
    if kind == "none":
        return np.zeros(d, array.dtype), np.ones(d, array.dtype)
    w = np.ones(len(array)) if weight is None else np.asarray(weight, np.float64)
    wide = array.astype(np.float64)
    shift = np.average(wide, axis=0, weights=w).astype(array.dtype)
    variance = np.average((wide - shift) ** 2, axis=0, weights=w)
    variance = np.full(d, variance.mean()) if kind == "scalar" else variance
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    return shift, scale.astype(array.dtype)


def _standardized(model, shift, scale):
    if not model.family_is_scaled:
        return model
    return replace(model, family=model.family.standardized(shift, scale))


def _unstandardize(model, params, shift, scale):
    return replace(params, components=model.family.unstandardize(params.components, shift, scale))


def _starts(model, data: Data, key, n_starts, init, shift, scale) -> MixtureParams:
    """Starting parameters, lane axis [starts] leading, in the standardised frame."""
    if isinstance(init, MixtureParams):
        one = init
        if model.family_is_scaled:
            inner = model.family.standardize(init.components, shift, scale)
            one = replace(init, components=inner)
        one = jax.tree.map(lambda leaf: jnp.asarray(leaf, data.x.dtype), one)
        return _repeat(one, n_starts)
    if not isinstance(init, str) and not callable(init):
        r = jnp.asarray(init)
        if r.shape == data.x.shape[:1]:
            r = jax.nn.one_hot(r, model.n_components, dtype=data.x.dtype)
        if r.shape != (data.x.shape[0], model.n_components):
            n, k = data.x.shape[0], model.n_components
            raise ValueError(
                f"init must be labels ({n},) or responsibilities ({n}, {k}); got {r.shape}."
            )
        return _repeat(model.seed(data, r), n_starts)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(n_starts))
    return _seed_lanes(model, data, keys, init)


@partial(jax.jit, static_argnames="init")
def _seed_lanes(model, data, keys, init):
    # One batch of lanes at a time: n × k × lanes responsibilities never exist together.
    batch = max(1, min(keys.shape[0], 2**24 // (data.x.shape[0] * model.n_components)))
    return jax.lax.map(lambda k: model.init(k, data.x, init, data.weight), keys, batch_size=batch)


def _repeat(params, n_starts):
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n_starts, *leaf.shape)), params)
