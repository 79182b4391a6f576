"""Parameters by component, and as columns of numbers with names: what tables and pictures show."""

import numpy as np

from jaxem.core.constraints import Constraint, Simplex, shared_fields
from jaxem.core.model_protocol import Model
from jaxem.core.types import Params

Fields = dict[str, np.ndarray]


def fields_of(params: Params, model: Model | None = None) -> tuple[Fields, Fields]:
    """The fields with a component axis f[k, ...], and those that the components share, of one fit.

    The constraints of the model tell them apart. Without a model, fields are those of a component
    where their first axis is as long as the weights.
    """
    fields = {n: np.asarray(v) for n, v in vars(getattr(params, "components", params)).items()}
    if model is not None:
        shared = shared_fields(model.constraints())
    else:
        lead = np.shape(getattr(params, "weights", ()))
        shared = [name for name, value in fields.items() if value.shape[:1] != lead or not lead]
    each = {name: value for name, value in fields.items() if name not in shared}
    return each, {name: fields[name] for name in fields if name not in each}


def columns(
    field: str, value: np.ndarray, names: list[str] | None = None, rule: Constraint | None = None
) -> tuple[list[str], np.ndarray]:
    """The entries of a field f[k, ...] as columns f[k, m], and their titles.

    An entry of a column of the data has its name of `names`, a share of a column "name=share";
    other entries have the name of the field and their index. `rule` is the constraint of the field:
    entries beyond the end of a simplex are left out.
    """
    shape, named = value.shape[1:], [] if names is None else names
    present = np.ones(shape, bool)
    if isinstance(rule, Simplex):
        present = rule.present(value.shape)[0]
    titles = []
    for index in np.argwhere(present).tolist():
        known = bool(index) and shape[0] == len(named)
        if known and len(shape) == 1:
            titles.append(named[index[0]])
        elif known and len(shape) == 2 and isinstance(rule, Simplex):
            titles.append(f"{named[index[0]]}={index[1]}")
        else:
            titles.append(f"{field}{index if index else ''}")
    return titles, value[:, present].reshape(len(value), -1)
