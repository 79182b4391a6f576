"""Parameters of many fits as clouds of points, components matched across fits."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxem.models import MixtureParams
from jaxem.plot.style import colour, label, marker
from jaxem.tools.alignment import assignment

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def clouds(
    axis: "Axes",
    params: MixtureParams,
    reference: MixtureParams,
    columns: tuple[int, int] = (0, 1),
    field: str | None = None,
    names: list[str] | None = None,
) -> None:
    """Two entries of a component's parameters, a dot for each fit, a colour for each component.

    `params` has one leading axis of fits; components are matched to those of `reference`, which
    is marked by crosses. `field` is "means", "rates", "probabilities" (None: the family's first).
    Parameters of one column are drawn against the weights. ValueError for unknown fields or
    columns.

    >>> x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.clouds(axis, fits.params, fits.best().params, names=names)
    >>> axis.get_xlabel()
    'means: eruptions'
    """
    field = _field(params, field)
    values, target = _entries(params, field), _entries(reference, field)
    order = matched(values, target)
    values = np.take_along_axis(values, order[:, :, None], axis=1)
    weights = np.take_along_axis(np.asarray(params.weights), order, axis=1)
    if values.shape[2] == 1:
        values = np.concatenate([values, weights[:, :, None]], axis=2)
        target = np.column_stack([target, np.asarray(reference.weights)])
        labels = [_name(field, names, 0), "weight"]
        columns = (0, 1)
    else:
        if max(columns) >= values.shape[2] or min(columns) < 0:
            raise ValueError(f"columns {columns}: {field} has {values.shape[2]}, counted from 0.")
        labels = [_name(field, names, j) for j in columns]
    i, j = columns
    live = np.asarray(reference.weights) > 0
    for k in np.flatnonzero(live).tolist():
        style: Any = dict(s=16, color=colour(k), marker=marker(k), alpha=_alpha(len(values)), lw=0)
        axis.scatter(values[:, k, i], values[:, k, j], **style)
        axis.scatter([], [], s=24, color=colour(k), marker=marker(k), label=f"component {k + 1}")
    axis.plot(target[live, i], target[live, j], "+", color="black", ms=10, mew=1.6)
    axis.legend(frameon=False, fontsize="small")
    label(axis, labels[0], labels[1], f"{field} of {len(values)} fits, components matched")


def matched(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The order i[r, k] of the components of each fit f[r, k, e] that matches those of f[k, e]: the
    assignment of least squared distance, entries scaled by their spread."""
    spread = np.concatenate([values.reshape(-1, values.shape[2]), target]).std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    target, values = target / spread, values / spread
    gaps = [np.sum((target[:, None] - fit[None]) ** 2, axis=2) for fit in values]
    return np.array([assignment(gap) for gap in gaps], int).reshape(values.shape[:2])


def _entries(params: MixtureParams, field: str) -> np.ndarray:
    """The field flattened to f[..., k, e] behind the axis of components."""
    value = np.asarray(getattr(params.components, field), float)
    lead = np.shape(params.weights)
    return value.reshape(*lead, -1)


def _field(params: MixtureParams, field: str | None) -> str:
    known = [
        name
        for name, value in vars(params.components).items()
        if np.shape(value)[: np.ndim(params.weights)] == np.shape(params.weights)
    ]
    if field is None:
        return known[0]
    if field not in known:
        raise ValueError(f"field must be one of {', '.join(known)}; got {field!r}.")
    return field


def _name(field: str, names: list[str] | None, j: int) -> str:
    return f"{field}[{j}]" if names is None or j >= len(names) else f"{field}: {names[j]}"


def _alpha(count: int) -> float:
    return float(np.clip(60 / max(count, 1), 0.15, 0.8))
