"""Where lanes start: given parameters, labels or responsibilities, or an initialiser's choice."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.state import Store
from jaxem.core.constraints import shared_fields
from jaxem.core.pytree import replace
from jaxem.core.validation import whole
from jaxem.data.scaling import standardized_params
from jaxem.devices.rows import spread
from jaxem.engine.loop import check_control
from jaxem.engine.steps import Control
from jaxem.models import Mixture, MixtureParams
from jaxem.models.initializers import INITIALIZERS
from jaxem.results.fit import Fit


def check_starts(n_starts: int) -> None:
    """ValueError unless there is at least one start, in whole numbers."""
    whole("n_starts", n_starts, 1)


def control_for(model, init, tol, max_iter, stop, accelerate, trace=False) -> Control:
    """The settings of all lanes, judged. "auto" means SQUAREM, which wins `python -m bench
    accelerators`, but plain EM from a given start, whose path the caller may know, and for hard
    assignments, which end after a few steps."""
    if accelerate == "auto":
        random = init_name(init) or callable(init)
        accelerate = "squarem" if random and model.assignment == "soft" else None
    kept = int(max_iter) if trace and max_iter > 0 else 0
    return check_control(Control(tol, max_iter, True, stop, accelerate, kept))


def check_generations(model: Mixture, init: Any, labels: Any, generations: int, race: Any) -> None:
    """ValueError unless it is a number of generations that such starts can have."""
    whole("generations", generations, 0)
    if generations == 0:
        return
    if race is not None and not race:
        raise ValueError(
            "generations needs the race, since children take the places of starts that left it: "
            "leave race out, or give race=True."
        )
    bound = model.frozen or labels is not None
    if bound or not (isinstance(init, str) or callable(init)):
        raise ValueError(
            "generations exchanges components, and here frozen parameters, labels or given "
            "parameters bind them to what they are: use random starts and none of these, or "
            "generations=0."
        )


def regroupable(model: Mixture) -> bool:
    """Whether there are components to exchange: two to merge and one to split."""
    return model.n_components > 2


def padded(model: Mixture, init: Any, pad_to: int | None) -> Mixture:
    """The model with switched-off components added; ValueError where they would change it."""
    if pad_to is None or pad_to == model.n_components:
        return model
    whole("pad_to", pad_to, model.n_components)
    if model.weight_prior is not None or model.family.prior is not None:
        raise ValueError("pad_to needs a model without priors: a component that is off has none.")
    if not init_name(init) or init == "random":
        raise ValueError(f"pad_to needs an initialiser that picks centres; got init={init!r}.")
    return replace(model, n_components=pad_to)


def unpadded(model: Mixture, fits: Fit) -> Fit:
    """`fits` without the components beyond the model's; parameters lead with the starts."""
    k, params = model.n_components, fits.params
    if params.weights.shape[1] == k:
        return fits
    kept = {
        name: value if name in shared_fields(model.family.constraints()) else value[:, :k]
        for name, value in vars(params.components).items()
    }
    components = type(params.components)(**kept)
    return replace(fits, params=MixtureParams(params.weights[:, :k], components))


def start(store: Store, model, array, key, init) -> None:
    """Put all lanes at their starts."""
    check_init(init)
    if isinstance(init, str) or callable(init):
        return scheduler.seed(store, key, init)
    inner, frame, data = store.grid.model, store.grid.frame, store.grid.data
    if isinstance(init, MixtureParams):
        one = given_params(model, init, array)
        one = standardized_params(model, one, frame)
    else:
        given = given_responsibilities(init, len(array), model.n_components)
        one = inner.seed(data, spread(model.mesh, given))
    many = jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf)[None], len(store.starts), 0), one)
    return scheduler.begin(store, many)


def check_init(init: Any, allow_arrays: bool = True) -> None:
    """ValueError for an initialiser that does not exist."""
    known = isinstance(init, MixtureParams) or callable(init) or init_name(init)
    if not known and (isinstance(init, str) or not allow_arrays):
        names = ", ".join(INITIALIZERS)
        raise ValueError(f"init must be one of {names}, a callable or parameters; got {init!r}.")


def init_name(init: Any) -> bool:
    """Whether this is the name of an initialiser."""
    return isinstance(init, str) and init in INITIALIZERS


def given_params(model: Mixture, params: MixtureParams, x: np.ndarray) -> MixtureParams:
    """The given start in x's dtype; ValueError when it does not fit the model or the data."""
    check_shapes(model, params, x.shape[1])
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), params)
    broken = model.complaints(params)
    if broken or not bool(model.usable(params)):
        raise ValueError(
            f"init is not a mixture: {broken or 'every component must have a proper density'}."
        )
    return params


def check_shapes(model: Mixture, params: MixtureParams, d: int, sets: int | None = None) -> None:
    """ValueError unless the parameters are those of one mixture, or of one for each data set."""
    lead = () if sets is None else (sets,)
    blank = jax.eval_shape(lambda: model.blank(d, np.float32))
    want = jax.tree.map(lambda leaf: (*lead, *leaf.shape), blank)
    got = jax.tree.map(np.shape, params)
    if got != want:
        raise ValueError(f"init has parameters of shapes {got}; this model and x need {want}.")


def given_responsibilities(init: Any, n: int, k: int) -> np.ndarray:
    """Labels or responsibilities as f[n, k]; ValueError for anything else."""
    r = np.asarray(init)
    wrong = _wrong(r, n, k)
    if wrong:
        raise ValueError(
            f"init must be labels ({n},) from 0 to {k - 1}, responsibilities ({n}, {k}) that are "
            f"finite and not negative, or parameters; got {wrong}."
        )
    return r if r.ndim == 2 else np.eye(k)[r.astype(int)]


def _wrong(r: np.ndarray, n: int, k: int) -> str:
    """What keeps an array from being labels or responsibilities; empty when nothing does."""
    if r.shape not in ((n,), (n, k)) or r.dtype.kind not in "buif":
        return f"shape {r.shape}, {r.dtype}"
    if r.ndim == 1 and not (r.size and r.min() >= 0 and r.max() < k):
        return f"labels from {r.min()} to {r.max()}" if r.size else "no labels"
    rows = np.flatnonzero(~(np.isfinite(r) & (r >= 0)).reshape(n, -1).all(axis=1))
    return f"row {rows[0]}: {r[rows[0]]}" if rows.size else ""
