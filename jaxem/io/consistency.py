"""Consistency of the value of a file: parameters of the model's shapes, known statuses."""

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxem.api.many_models import CRITERIA
from jaxem.core.model_protocol import Model
from jaxem.core.status import Status
from jaxem.core.types import Params, PyTree
from jaxem.io.classes import is_model, is_params
from jaxem.results.fit import Fit
from jaxem.results.information_criteria import Criteria
from jaxem.results.sweep import Sweep

#: Exceptions that a model may raise on invalid settings.
_NONSENSE = (TypeError, AttributeError, ValueError, ArithmeticError, LookupError)

#: Kinds of dtype of the leaves of a fit.
_KINDS = dict(status="iu", n_iter="iu", log_likelihood="f", objective="f", trace="f")
_KINDS |= dict(follows="i", parent="i")


def check_consistent(kind: str, model: object, value: object) -> int | None:
    """The number of columns d, None where it is unknown. ValueError unless `value` is consistent in
    itself, and with `model` where there is one."""
    if model is not None and not is_model(model):
        raise ValueError(f"a {type(model).__name__} stands where a model should")
    if kind == "sweep":
        return _check_sweep(value)
    if kind == "model":
        return None
    if kind == "params":
        if not is_params(value):
            raise ValueError(f"a {type(value).__name__} stands where parameters should")
        return None if model is None else _only(candidates(model, value))
    return _check_fit(model, value)


def _check_sweep(sweep: object) -> int | None:
    if not isinstance(sweep, Sweep):
        raise ValueError(f"a {type(sweep).__name__} stands where a sweep should")
    if sweep.criterion not in CRITERIA:
        raise ValueError(f"a sweep cannot be judged by {sweep.criterion!r:.80}")
    if not sweep.rows:
        raise ValueError("a sweep without models")
    widths = set()
    for row in sweep.rows:
        size = getattr(row.model, "n_components", row.n_components)
        if not is_model(row.model) or row.n_components != size:
            raise ValueError("a row of the sweep and its model differ in components")
        if np.ndim(row.fits.status) != 1 or not isinstance(row.criteria, Criteria | None):
            raise ValueError("a row of the sweep is not made of fits from several starts")
        widths.add(_check_fit(row.model, row.fits))
    if len(widths - {None}) > 1:
        raise ValueError("the models of the sweep are of different columns")
    return _only(sorted(widths - {None}))


def _only(numbers: list[int]) -> int | None:
    return numbers[0] if len(numbers) == 1 else None


def _check_fit(model: Model | None, fit: object) -> int | None:
    if not isinstance(fit, Fit):
        raise ValueError(f"a {type(fit).__name__} stands where a fit should")
    if not is_params(fit.params):
        raise ValueError(f"the parameters of the fit are a {type(fit.params).__name__}")
    lanes = np.shape(fit.status)
    for name, kinds in _KINDS.items():
        value = getattr(fit, name)
        if value is None and name in ("trace", "follows", "parent"):
            continue
        array = np.asarray(value)
        fits = array.dtype.kind in kinds and array.ndim == len(lanes) + (name == "trace")
        if not fits or array.shape[: len(lanes)] != lanes:
            kind = f"{array.dtype}{list(array.shape)}"
            raise ValueError(f"{name} {kind} is not of fits {list(lanes)}")
    if not np.isin(np.asarray(fit.status), list(Status)).all():
        raise ValueError("a status that this jaxem does not know")
    _check_follows(fit.follows)
    # No upper bound: a selection of starts may name a parent outside of the selection.
    if fit.parent is not None and np.min(fit.parent, initial=-1) < -1:
        raise ValueError("parent names a start that does not exist")
    return None if model is None else _only(candidates(model, fit.params, lanes))


def _check_follows(follows: ArrayLike | None) -> None:
    """ValueError unless each start follows a start of the same data set, without circles."""
    if follows is None or not np.size(follows):
        return
    rows = np.asarray(follows)
    rows = rows.reshape(-1, rows.shape[-1] if rows.ndim else 1)
    numbers = np.arange(rows.shape[1])
    if rows.min() < -1 or rows.max() >= rows.shape[1]:
        raise ValueError("follows names a start that does not exist")
    for row in np.unique(rows, axis=0):
        last = np.where(row >= 0, row, numbers)
        for _ in range(rows.shape[1].bit_length()):
            last = last[last]
        # Every path ends at a start that follows none, or at one that follows itself (never ran).
        if ((row[last] >= 0) & (row[last] != last)).any():
            raise ValueError("follows goes round in a circle")


def columns_of(model: Model, params: Params) -> int:
    """The number of columns d of the parameters; ValueError as `candidates`."""
    return candidates(model, params)[0]


def candidates(model: Model, params: Params, lanes: tuple[int, ...] | None = None) -> list[int]:
    """The numbers of columns d that go with the parameters: one, or several where the parameters do
    not depend on it. ValueError where the model has no parameters of these shapes, or invalid
    settings. `lanes` are the axes of many fits; None: any axes."""
    leaves, structure = jax.tree.flatten(params)
    shapes = [np.shape(leaf) for leaf in leaves]
    if not leaves or any(np.asarray(leaf).dtype.kind != "f" for leaf in leaves):
        raise ValueError("parameters must be floating-point numbers")
    found = []
    # Two numbers more: both match only where the shapes do not depend on d.
    for d, blank in _blanks(model, sorted({1, 2, *(s for shape in shapes for s in shape if s)})):
        wanted = [leaf.shape for leaf in jax.tree.leaves(blank)]
        if jax.tree.structure(blank) != structure:
            continue
        lead = shapes[0][: len(shapes[0]) - len(wanted[0])] if lanes is None else lanes
        if shapes == [(*lead, *shape) for shape in wanted]:
            found.append(d)
    if not found:
        listed = ", ".join(f"{list(shape)}" for shape in shapes)
        raise ValueError(
            f"parameters of shapes {listed} are not those of {model!r:.200}"
            + ("" if lanes is None else f" in fits {list(lanes)}")
        )
    return _of_valid_settings(model, found)


def _blanks(model: Model, sizes: list[int]) -> list[tuple[int, PyTree]]:
    """(d, shapes of the model's parameters) for each of `sizes` that the model accepts; ValueError
    when it accepts none."""
    blanks, refused = [], None
    for d in sizes:
        try:
            blanks.append((d, jax.eval_shape(lambda d=d: model.blank(d, np.float32))))
        except _NONSENSE as error:
            refused = error
    if not blanks:
        raise ValueError(f"the model makes no sense ({refused})") from refused
    return blanks


def _of_valid_settings(model: Model, found: list[int]) -> list[int]:
    """The numbers of columns for which the settings are valid. Where they are valid for none, and
    the only one is known, ValueError; of several, none need be the right one."""
    if any(type(leaf) is int and abs(leaf) >= 2**31 for leaf in jax.tree.leaves(model)):
        raise ValueError("the model makes no sense (a setting of more than 32 bits)")
    valid = []
    for d in found:
        try:
            model.validate_settings(d)
            valid.append(d)
        except _NONSENSE as error:
            if len(found) == 1:
                raise ValueError(f"the model makes no sense ({error})") from error
    return valid or found
