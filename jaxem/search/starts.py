"""The starts of lanes: given parameters, labels or responsibilities, or an initialiser's draws."""

import jax
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.problem import Problem
from jaxem.batch.state import Batch, Runs
from jaxem.core.capabilities import offered
from jaxem.core.compiled import jitted
from jaxem.core.constraints import complaint
from jaxem.core.model_protocol import Initialised, Model, Switchable
from jaxem.core.types import Init, Params
from jaxem.data.scaling import Scaling
from jaxem.devices.rows import spread
from jaxem.engine.finish import to_scaled


def start_all(batch: Batch, problem: Problem, key: jax.Array, init: Init) -> Runs:
    """Runs of all lanes at their starts.

    `init` is a name or callable that draws a start for each lane, an array as the model reads it,
    or parameters: of one start, or with leading axes [starts] or, of several data sets, [sets] or
    [sets, starts]. Raises ValueError for anything else.
    """
    if is_params(problem.model, init, problem.data.x.shape[-1]):
        return scheduler.start_at(batch, _given(batch, problem, init))
    rows = problem.host[0]
    initialised = offered(problem.model, Initialised)
    if initialised is not None:
        init = initialised.read_init(init, len(rows.x))
    if isinstance(init, str) or callable(init):
        return scheduler.start_random(batch, key, init)
    if problem.of_many:
        raise ValueError("init must be a name, a callable or parameters where data sets are many.")
    data = problem.data
    given = spread(data.mesh, np.asarray(init))
    start = batch.grid.model.start(key, data, given)
    lanes = len(batch.starts)
    return scheduler.start_at(
        batch, jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], lanes, 0), start)
    )


def is_params(model: Model, init: Init, d: int) -> bool:
    """Whether `init` has the type of the model's parameters of d columns."""
    if init is None or isinstance(init, str) or callable(init):
        return False  # without tracing the model, which takes a millisecond
    return type(init) is type(jax.eval_shape(lambda: model.blank(d, np.float32)))


def count_of(model: Model, init: Init, d: int, sets: int | None) -> int | None:
    """The number of starts that `init` gives each data set; None where `init` is not
    parameters with an axis of starts. ValueError for parameters of the wrong shapes. `sets` is the
    number of data sets, None for one."""
    if not is_params(model, init, d):
        return None
    lead = _leading(model, init, d)
    allowed = ((), ("n",)) if sets is None else ((), (sets,), (sets, "n"))
    fits = [
        want
        for want in allowed
        if len(want) == len(lead)
        and all(w in ("n", size) for w, size in zip(want, lead, strict=True))
    ]
    if not fits or 0 in lead:
        raise ValueError(_wrong_shapes(model, init, d))
    return lead[-1] if "n" in fits[0] else None


def _leading(model: Model, params: Params, d: int) -> tuple[int, ...]:
    """The leading axes that all leaves of the parameters have before the shapes of the model."""
    blank = jax.eval_shape(lambda: model.blank(d, np.float32))
    if jax.tree.structure(blank) != jax.tree.structure(params):
        raise ValueError(_wrong_shapes(model, params, d))
    leads = set()
    for want, leaf in zip(jax.tree.leaves(blank), jax.tree.leaves(params), strict=True):
        shape = np.shape(leaf)
        extra = len(shape) - len(want.shape)
        if extra < 0 or shape[extra:] != want.shape:
            raise ValueError(_wrong_shapes(model, params, d))
        leads.add(shape[:extra])
    if len(leads) != 1:
        raise ValueError(_wrong_shapes(model, params, d))
    return leads.pop()


def _wrong_shapes(model: Model, params: Params, d: int) -> str:
    blank = jax.eval_shape(lambda: model.blank(d, np.float32))
    want, got = jax.tree.map(lambda leaf: leaf.shape, blank), jax.tree.map(np.shape, params)
    return f"init has parameters of shapes {got}; this model and x need {want}."


def _given(batch: Batch, problem: Problem, init: Params) -> Params:
    """Given parameters of every lane, f[lanes, ...], in standard units."""
    dtype = problem.data.x.dtype
    lead = _leading(problem.model, init, problem.data.x.shape[-1])
    check_params(problem.model, init)
    init = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), init)
    sets, starts = len(problem.numbers), len(batch.starts) // len(problem.numbers)
    if len(lead) == 2:
        init = jax.tree.map(lambda leaf: leaf[problem.numbers], init)
    elif len(lead) == 1 and problem.of_many:
        init = jax.tree.map(lambda leaf: leaf[problem.numbers][:, None], init)
    elif len(lead) == 1:
        init = jax.tree.map(lambda leaf: leaf[None], init)
    else:
        init = jax.tree.map(lambda leaf: leaf[None, None], init)

    def filled(leaf: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return np.broadcast_to(leaf, (sets, starts, *shape))

    blank = jax.eval_shape(lambda: problem.model.blank(problem.data.x.shape[-1], dtype))
    init = jax.tree.map(lambda leaf, like: filled(leaf, like.shape), init, blank)
    scaling = problem.scaling
    if problem.shared:
        scaling = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (sets, *leaf.shape)), scaling)
    scaled = _to_scaled_each(problem.model, init, scaling)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), jax.device_get(scaled))


@jitted
def _to_scaled_each(model: Model, params: Params, scaling: Scaling) -> Params:
    """Parameters f[sets, starts, ...] as parameters in the standard units of their data sets."""

    def of_set(params: Params, scaling: Scaling) -> Params:
        return jax.vmap(lambda start: to_scaled(model, start, scaling))(params)

    return jax.vmap(of_set)(params, scaling)


def check_params(model: Model, params: Params) -> None:
    """ValueError, naming the field, for parameters (any leading axes) that break the model's
    constraints."""
    switchable = offered(model, Switchable)
    if switchable is not None:
        wrong = switchable.complaints(params)
    else:
        found = {
            name: complaint(constraint, np.asarray(getattr(params, name)))
            for name, constraint in model.constraints().items()
        }
        wrong = "; ".join(f"{name} {what}" for name, what in found.items() if what)
    if wrong:
        raise ValueError(f"init is not a start of {type(model).__name__}: {wrong}.")
