"""Parameters of components: of one fit as a table of colours, of many fits as clouds of points."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.core.model_protocol import Model
from jaxem.core.types import Params
from jaxem.models import Mixture, MixtureParams
from jaxem.plot.style import colour, label, marker
from jaxem.results.parameters import columns as columns_of
from jaxem.results.parameters import fields_of
from jaxem.tools.alignment import assignment

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
    field = _chosen(each, field, model)
    rules = {} if model is None else model.constraints()
    titles, table = columns_of(field, each[field], names, rules.get(field))
    image = axis.pcolormesh(table, cmap="cividis", edgecolors="white", lw=1)
    axis.figure.colorbar(image, ax=axis, label=field)
    axis.set_xticks(np.arange(table.shape[1]) + 0.5, titles, rotation=45, ha="right")
    rows = [f"{j + 1} ({w:.0%})" for j, w in enumerate(np.asarray(params.weights))]
    axis.set_yticks(np.arange(len(table)) + 0.5, rows)
    axis.invert_yaxis()
    label(axis, "column", "component (weight)", f"{field} of each component")


def _chosen(fields: dict[str, np.ndarray], field: str | None, model: Model | None) -> str:
    """The field to draw; ValueError where there is none of this name, or none at all."""
    if not fields:
        raise ValueError(f"{model!r} has no parameter of its own for each component.")
    if field is None:
        return next(iter(fields))
    if field not in fields:
        raise ValueError(f"field must be one of {', '.join(fields)}; got {field!r}.")
    return field


def clouds(
    axis: "Axes",
    params: Params,
    reference: Params,
    columns: tuple[int, int] = (0, 1),
    field: str | None = None,
    names: list[str] | None = None,
    model: Model | None = None,
) -> None:
    """Two entries of a component's parameters, a dot for each fit, a colour for each component.

    `params` has one leading axis of fits; components are matched to those of `reference`, which
    is marked by crosses. `field` is "means", "rates", "probabilities" (None: the first that each
    component has, by the constraints of the model; without it, by shape). A parameter of one column
    is drawn against the weights, all numbers of a model without weights as one component.
    ValueError for unknown fields or columns.

    >>> x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.clouds(axis, fits.params, fits.best().params, names=names)
    >>> axis.get_xlabel()
    'means: eruptions'
    """
    mixed = hasattr(reference, "weights")
    each, shared = fields_of(reference, model)
    fields = each if mixed else {name: value[None] for name, value in {**each, **shared}.items()}
    field = _chosen(fields, field, model)
    rule = None if model is None else model.constraints()[field]
    titles, target = columns_of(field, fields[field], names, rule)
    titles = [title if title.startswith(f"{field}[") else f"{field}: {title}" for title in titles]
    each_fit = np.asarray(getattr(params, field), float)
    each_fit = each_fit if mixed else each_fit[:, None]
    values = np.array([columns_of(field, value, names, rule)[1] for value in each_fit])
    order = matched(values, target)[:, :, None]
    values = np.take_along_axis(values, order, axis=1)
    live = np.ones(len(target), bool)
    if mixed:
        live = np.asarray(reference.weights) > 0
        weights = np.take_along_axis(np.asarray(params.weights)[:, :, None], order, axis=1)
        if values.shape[2] == 1:
            columns, titles = (0, 1), [*titles, "weight"]
            values = np.concatenate([values, weights], axis=2)
            target = np.column_stack([target, np.asarray(reference.weights)])
    if max(columns) >= len(titles) or min(columns) < 0:
        raise ValueError(f"columns {columns}: {field} has {len(titles)}, counted from 0.")
    i, j = columns
    alpha = float(np.clip(60 / max(len(values), 1), 0.15, 0.8))
    for k in np.flatnonzero(live).tolist():
        c, shape = colour(k), marker(k)
        axis.scatter(values[:, k, i], values[:, k, j], 16, c, marker=shape, alpha=alpha, lw=0)
        axis.scatter([], [], 24, c, marker=shape, label=f"component {k + 1}")
    axis.plot(target[live, i], target[live, j], "+", color="black", ms=10, mew=1.6)
    axis.legend(frameon=False, fontsize="small")
    label(axis, titles[i], titles[j], f"{field} of {len(values)} fits, components matched")


def matched(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The order i[r, k] of the components of each fit f[r, k, e] that matches those of f[k, e]: the
    assignment of least squared distance, entries scaled by their spread."""
    spread = np.concatenate([values.reshape(-1, values.shape[2]), target]).std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    target, values = target / spread, values / spread
    gaps = [np.sum((target[:, None] - fit[None]) ** 2, axis=2) for fit in values]
    return np.array([assignment(gap) for gap in gaps], int).reshape(values.shape[:2])
