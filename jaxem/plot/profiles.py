"""Components as a table of colours: a row each, a column for each entry of a parameter."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.core.model_protocol import Model
from jaxem.models import Mixture, MixtureParams
from jaxem.plot.style import label
from jaxem.results.parameters import columns, fields_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def profile(
    axis: "Axes",
    params: MixtureParams,
    names: list[str],
    model: Mixture | None = None,
    field: str | None = None,
) -> None:
    """One row per component, one column per feature (and category) of a parameter.

    `field` is a parameter that each component has (None: the first). The constraints of the model
    tell which do, and which categories a column has; without it, the shapes. ValueError for other
    fields.

    >>> p = jaxem.BinomialParams(np.array([[0.1, 0.9], [0.8, 0.5]]))
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.profile(axis, jaxem.MixtureParams(np.array([0.4, 0.6]), p), ["spam", "ham"])
    """
    each = fields_of(params, model)[0]
    field = chosen(each, field, model)
    rules = {} if model is None else model.constraints()
    titles, table = columns(field, each[field], names, rules.get(field))
    image = axis.pcolormesh(table, cmap="cividis", edgecolors="white", lw=1)
    axis.figure.colorbar(image, ax=axis, label=field)
    axis.set_xticks(np.arange(table.shape[1]) + 0.5, titles, rotation=45, ha="right")
    rows = [f"{j + 1} ({w:.0%})" for j, w in enumerate(np.asarray(params.weights))]
    axis.set_yticks(np.arange(len(table)) + 0.5, rows)
    axis.invert_yaxis()
    label(axis, "column", "component (weight)", f"{field} of each component")


def chosen(fields: dict[str, np.ndarray], field: str | None, model: Model | None) -> str:
    """The field to draw; ValueError where there is none of this name, or none at all."""
    if not fields:
        raise ValueError(f"{model!r} has no parameter of its own for each component.")
    if field is None:
        return next(iter(fields))
    if field not in fields:
        raise ValueError(f"field must be one of {', '.join(fields)}; got {field!r}.")
    return field
