"""`fit`: many starts on one data set."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem import budget, race, schedule
from jaxem.clock import compilations
from jaxem.data import Data, check_data
from jaxem.engine import Control
from jaxem.frame import frame_of, standardize, standardized_model, standardized_params
from jaxem.initialize import INITIALIZERS
from jaxem.lanes import Grid
from jaxem.loop import cast, check_control
from jaxem.models import Mixture, MixtureParams
from jaxem.pytree import replace
from jaxem.result import Fit, Report
from jaxem.schedule import Store

try:
    from jax import enable_x64 as _enable_x64
except ImportError:
    from jax.experimental import enable_x64 as _enable_x64


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
    accelerate: str | None = None,
    race: bool | None = None,
    memory_limit: int | None = None,
) -> Fit:
    """Fit `model` from `n_starts` starts at once; returns a `Fit` with axis [starts].

    `init` is "k-means++", "kmeans", "random", "random_from_data", a callable
    `(key, x, weight, k) -> f[n, k]`, or one start given as parameters, labels i[n] or
    responsibilities f[n, k]. The data are standardised once, and parameters and likelihood mapped
    back exactly. float64 x is fitted in float64 (results are NumPy arrays), anything narrower in
    float32. Start i depends on (key, i) alone. `race` runs every start for a few iterations and
    the best distinct ones to the end, the others being PRUNED (None: from 64 starts on).
    Raises ValueError for data or arguments that cannot be fitted; a start that fails has a status.
    """
    array = check_data(x, sample_weight, labels, model.n_components)
    model.validate(array)
    check_starts(n_starts)
    control = check_control(Control(tol, max_iter, True, stop, accelerate))
    with precision_of(array.dtype):
        array = array if array.dtype == np.float64 else array.astype(np.float32)
        begun = time.perf_counter()
        with compilations() as compiled:
            store, plan = _store(
                model, array, sample_weight, labels, n_starts, control, memory_limit
            )
            _start(store, model, array, key, init, plan)
            result = run(store, max_iter, race, n_starts)
        return with_report(result, store, compiled, begun)


def check_starts(n_starts: int) -> None:
    """ValueError unless there is at least one start."""
    if n_starts < 1:
        raise ValueError(f"n_starts must be at least 1; got {n_starts}.")


def precision_of(dtype: Any) -> Any:
    """A context in which float64 data are computed in float64, whatever JAX's global setting."""
    wide = dtype == np.float64 and not jax.config.jax_enable_x64  # type: ignore[attr-defined]
    return _enable_x64(True) if wide else nullcontext()


def run(store: Store, max_iter: int, raced: bool | None, n_starts: int) -> Fit:
    """All lanes to their ends, as a race where asked for or worth it."""
    race.run(store, max_iter, n_starts >= 64 if raced is None else raced)
    return schedule.conclude(store)


def with_report(result: Fit, store: Store, compiled: Any, begun: float) -> Fit:
    """The result with what it cost."""
    report = Report(
        executed=store.executed,
        needed=int(np.sum(store.runs.n_iter + 1)),
        programs=compiled.programs,
        compile_seconds=compiled.seconds,
        run_seconds=max(0.0, time.perf_counter() - begun - compiled.seconds),
    )
    return replace(result, report=report)


def _store(model, array, weight, labels, n_starts, control, limit) -> tuple[Store, budget.Plan]:
    frame = frame_of(model.family, array, weight)
    data = host_data(standardize(array, frame), weight, labels)
    inner = cast(standardized_model(model, frame), array.dtype)
    width = jax.eval_shape(model.family.features, data.x).shape[0]
    sizes = budget.plan(
        len(array), width, model.n_components, n_starts, array.itemsize, True, limit
    )
    prepared = _prepare(inner, data, sizes.rows)
    grid = Grid(inner, data, prepared, frame, shared=True)
    starts = np.arange(n_starts)
    return Store(grid, control, 0 * starts, starts, sizes.bucket, sizes.smallest), sizes


_prepare: Callable = jax.jit(
    lambda model, data, rows: model.prepare(data, rows), static_argnames="rows"
)


def host_data(x: np.ndarray, weight: Any, label: Any) -> Data:
    """`Data` of x's dtype."""
    weight = np.ones(len(x), x.dtype) if weight is None else np.asarray(weight, x.dtype)
    label = None if label is None else np.asarray(label, np.int32)
    return jax.tree.map(jnp.asarray, Data(x, weight, label))


def _start(store: Store, model, array, key, init, plan) -> None:
    if isinstance(init, str) or callable(init):
        if isinstance(init, str) and init not in INITIALIZERS:
            known = ", ".join(INITIALIZERS)
            raise ValueError(f"init must be one of {known} or a callable; got {init!r}.")
        return schedule.seed(store, key, init, plan.at_once)
    inner, frame, data = store.grid.model, store.grid.frame, store.grid.data
    if isinstance(init, MixtureParams):
        one = given_params(model, init, array)
        one = standardized_params(model, one, frame)
    else:
        one = inner.seed(data, given_responsibilities(init, len(array), model.n_components))
    many = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], len(store.starts), 0), one)
    return schedule.begin(store, many)


def given_params(model: Mixture, params: MixtureParams, x: np.ndarray) -> MixtureParams:
    """The given start in x's dtype; ValueError when it does not fit the model or the data."""
    want = jax.eval_shape(lambda: model.blank(x.shape[1], x.dtype))
    got = jax.tree.map(np.shape, params)
    shapes = jax.tree.map(lambda leaf: leaf.shape, want)
    if got != shapes:
        raise ValueError(f"init has parameters of shapes {got}; this model and x need {shapes}.")
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), params)
    if not bool(model.usable(params)):
        raise ValueError(
            "init is not a mixture: weights must sum to 1 and every component must be proper "
            "(finite, a positive definite covariance, probabilities in [0, 1], positive rates)."
        )
    return params


def given_responsibilities(init: Any, n: int, k: int) -> np.ndarray:
    """Labels or responsibilities as f[n, k]; ValueError for anything else."""
    r = np.asarray(init)
    if r.shape == (n,) and r.size and r.min() >= 0 and r.max() < k:
        r = np.eye(k)[r.astype(int)]
    if r.shape != (n, k) or not np.isfinite(r).all() or (r < 0).any():
        raise ValueError(
            f"init must be labels ({n},) from 0 to {k - 1}, responsibilities ({n}, {k}) that are "
            f"finite and not negative, or parameters; got shape {r.shape}."
        )
    return r
