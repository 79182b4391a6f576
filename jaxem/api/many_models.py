"""`sweep`: many models on one data set, scored."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.api.one_data_set import fit
from jaxem.batch.checkpoint import FilePath
from jaxem.core.capabilities import offered
from jaxem.core.compiled import jitted
from jaxem.core.keys import as_key
from jaxem.core.model_protocol import Model, Paddable
from jaxem.core.precision import precision_of
from jaxem.core.trees import replace
from jaxem.core.types import Init, Rows
from jaxem.data.ragged import COMPILE, EXPECTED
from jaxem.data.row_files import is_rows, open_rows
from jaxem.families import Gaussian
from jaxem.models import Mixture
from jaxem.results.fit import Fit
from jaxem.results.information_criteria import criteria
from jaxem.results.sweep import Row, Sweep, total

#: The name of a model in a sweep: its number of components, and a covariance type or label.
Name = tuple[int, str]

#: Models by their labels, or a function (n_components, covariance_type) -> model.
Models = Mapping[str | Name, Model] | Callable[[int, str], Model]

CRITERIA = ("bic", "aic", "icl", "icl_entropy", "held_out")


def sweep(
    x: Rows,
    n_components: Iterable[int] = range(1, 10),
    covariance_type: str | Sequence[str] = "full",
    *,
    key: jax.Array | int,
    n_starts: int = 50,
    criterion: str = "bic",
    folds: int = 0,
    sample_weight: Rows = None,
    checkpoint: FilePath | None = None,
    models: Models | None = None,
    **options: Any,
) -> Sweep:
    """Fit every (n_components, covariance_type) from `n_starts` starts and score them all.

    Ctrl-C returns the models that were finished, and the one that was not (`report.interrupted`).
    `criterion` is "bic", "aic", "icl", "icl_entropy" (see `criteria`) or, with `folds` ≥ 2,
    "held_out": the cross-validated mean log-likelihood, whose folds are 0/1 weights on the shared
    data. `models` replaces the Gaussian mixtures: a function (n_components, covariance_type) ->
    model, for other families or priors; or any models by their labels, which then stand in the
    place of covariance types (a label is a text, or (number of components, text)). Further keywords
    go to `fit`. Raises ValueError as `fit` does.

    >>> x = datasets.load("old_faithful")
    >>> table = jaxem.sweep(x, range(1, 3), key=jax.random.key(0), n_starts=8)
    >>> table.best.n_components
    2
    >>> [round(row["bic"]) for row in table.table()]
    [2608, 2322]
    >>> counts = np.random.default_rng(0).poisson([3, 5], size=(100, 2))
    >>> families = {"Poisson": jaxem.Poisson(), "normal": jaxem.Gaussian("diag")}
    >>> models = {name: jaxem.Mixture(f, n_components=1) for name, f in families.items()}
    >>> jaxem.sweep(counts, models=models, key=jax.random.key(0), n_starts=1).best.covariance_type
    'Poisson'
    """
    if criterion not in CRITERIA or (criterion == "held_out" and folds < 2):
        raise ValueError(
            f"criterion must be one of {', '.join(CRITERIA)} (held_out needs folds >= 2); "
            f"got {criterion!r} with folds={folds}."
        )
    if folds == 1 or folds < 0:
        raise ValueError(f"folds must be 0 (no cross-validation) or at least 2; got {folds}.")
    types = (covariance_type,) if isinstance(covariance_type, str) else tuple(covariance_type)
    grid = named_models(n_components, types, models)
    key = as_key(key)
    rows, pad = [], {}
    if is_rows(x):
        x = open_rows(x)
        if folds:
            raise ValueError("folds: cross-validation is not for rows that are read in blocks.")
    else:
        pad = padding(dict(grid), np.shape(x)[0] * n_starts, options)
    interrupted = False
    for number, (name, model) in enumerate(grid):
        path = None if checkpoint is None else f"{checkpoint}.{number}"
        given = dict(options, key=jax.random.fold_in(key, number), checkpoint=path)
        given |= dict(pad_to=pad.get(name), n_starts=n_starts)
        try:
            rows.append(_row(model, name, x, sample_weight, folds, given))
        except KeyboardInterrupt:
            if not rows:
                raise
            interrupted = True
        if interrupted or was_interrupted(rows[-1].fits):
            break
    report = total([row.fits.report for row in rows])
    report = dataclasses.replace(report, interrupted=interrupted or report.interrupted)
    return Sweep(tuple(rows), criterion, report)


def named_models(
    n_components: Iterable[int], types: Sequence[str], models: Models | None
) -> list[tuple[Name, Model]]:
    """The models of a sweep in order, each with its name; Gaussian mixtures where the caller gives
    no others. ValueError where there are none."""
    if isinstance(models, Mapping):
        grid = [(_name(label, model), model) for label, model in models.items()]
    else:
        make = models or (lambda k, kind: Mixture(Gaussian(kind), n_components=k))
        grid = [((int(k), kind), make(int(k), kind)) for kind in types for k in n_components]
    if not grid:
        raise ValueError("nothing to fit: n_components, covariance_type or models is empty.")
    return grid


def _name(label: str | Name, model: Model) -> Name:
    """The name of a model that was given by its label; 1 for a model without components."""
    if isinstance(label, tuple):
        return label
    paddable = offered(model, Paddable)
    return (1 if paddable is None else paddable.size()), label


def padding(grid: Mapping[Name, Model], rows: int, options: dict[str, Any]) -> dict[Name, int]:
    """The number of components to compute for each model of the grid: mixtures of one type and
    several sizes share one set of compiled programs where the components that are switched off cost
    less than compiling. `rows` is the number of rows × starts."""
    out: dict[Name, int] = {}
    for kind in {kind for _, kind in grid}:
        sizes = sorted(k for k, other in grid if other == kind)
        if not _share_programs([grid[k, kind] for k in sizes], options.get("init", "k-means++")):
            continue
        group: list[int] = []
        for i, k in enumerate(sizes):
            group.append(k)
            beyond = sizes[i + 1] if i + 1 < len(sizes) else None
            if beyond and sum(beyond - j for j in group) * rows * EXPECTED < COMPILE:
                continue
            out |= {(j, kind): k for j in group}
            group = []
    return out


def _share_programs(models: list[Model], init: Init) -> bool:
    """Whether models differ in their number of latent values alone, and can be padded."""
    first = offered(models[0], Paddable)
    if first is None or not first.can_pad(init):
        return False
    others = [offered(model, Paddable) for model in models]
    return all(
        other is not None
        and jax.tree.structure(first.padded(other.size())) == jax.tree.structure(other)
        for other in others
    )


def _row(model: Model, label: Name, x: Rows, weight: Rows, folds: int, options: dict) -> Row:
    """One model fitted and scored. Where Ctrl-C ends a fold, the row has no held-out likelihood."""
    fits = fit(model, x, sample_weight=weight, **options)
    scored = criteria(model, fits.best(), x, weight) if fits.sound.any() else None
    held_out = None
    if folds and not was_interrupted(fits):
        held_out, interrupted = cross_validate(model, x, folds, weight, options)
        report = dataclasses.replace(total([fits.report]), interrupted=interrupted)
        fits = replace(fits, report=report)
    return Row(*label, model, fits, scored, held_out)


def was_interrupted(fits: Fit) -> bool:
    """Whether Ctrl-C ended the call that made the fits."""
    return fits.report is not None and fits.report.interrupted


def cross_validate(
    model: Model, x: Rows, folds: int, sample_weight: Rows, options: dict
) -> tuple[float | None, bool]:
    """Mean held-out log-likelihood per unit weight over `folds` random folds, None where a
    fold has no sound fit; and whether Ctrl-C ended it. A fold is a weight of 0, so all folds run
    the same compiled programs."""
    x = np.asarray(x)
    x = x[:, None] if x.ndim == 1 else x
    if folds > len(x):
        raise ValueError(f"folds must be at most the number of rows ({len(x)}); got {folds}.")
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, float)
    fold = np.asarray(jax.random.permutation(jax.random.fold_in(options["key"], folds), len(x)))
    score = 0.0
    for i in range(folds):
        held = fold % folds == i
        path = options.get("checkpoint")
        given: dict[str, Any] = {**options, "checkpoint": path and f"{path}.fold{i}"}
        fits = fit(model, x, sample_weight=np.where(held, 0, weight), **given)
        if was_interrupted(fits) or not fits.sound.any():
            return None, was_interrupted(fits)
        best = fits.best()
        with precision_of(np.asarray(best.log_likelihood).dtype):
            density = np.asarray(_log_prob(model, best.params, jnp.asarray(x)), float)
        score += float(weight[held] @ density[held])
    return score / float(weight.sum()), False


@jitted
def _log_prob(model, params, x):
    return model.log_prob(params, x)
