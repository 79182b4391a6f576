"""`sweep`: many models on one data set, scored."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.api.one_data_set import fit
from jaxem.batch.checkpoint import FilePath
from jaxem.core.compiled import jitted
from jaxem.core.keys import as_key
from jaxem.core.precision import precision_of
from jaxem.core.trees import replace
from jaxem.core.types import Rows
from jaxem.data.data import as_data
from jaxem.data.ragged import COMPILE, EXPECTED
from jaxem.families import Gaussian
from jaxem.models import Mixture
from jaxem.results.fit import Fit
from jaxem.results.information_criteria import criteria
from jaxem.results.sweep import Row, Sweep, total

#: A function (n_components, covariance_type) -> model.
Models = Callable[[int, str], Mixture]

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
    data. `models`, a function
    (n_components, covariance_type) -> Mixture, replaces the Gaussian mixtures for other families
    or priors. Further keywords go to `fit`. Raises ValueError as `fit` does.

    >>> x = datasets.load("old_faithful")
    >>> table = jaxem.sweep(x, range(1, 3), key=jax.random.key(0), n_starts=8)
    >>> table.best.n_components
    2
    >>> [round(row["bic"]) for row in table.table()]
    [2608, 2322]
    """
    if criterion not in CRITERIA or (criterion == "held_out" and folds < 2):
        raise ValueError(
            f"criterion must be one of {', '.join(CRITERIA)} (held_out needs folds >= 2); "
            f"got {criterion!r} with folds={folds}."
        )
    if folds == 1 or folds < 0:
        raise ValueError(f"folds must be 0 (no cross-validation) or at least 2; got {folds}.")
    types = (covariance_type,) if isinstance(covariance_type, str) else tuple(covariance_type)
    make = models or _gaussians
    grid = [(int(k), kind) for kind in types for k in n_components]
    if not grid:
        raise ValueError("nothing to fit: n_components or covariance_type is empty.")
    key = as_key(key)
    rows, pad = [], padding(make, grid, np.shape(x)[0] * n_starts, options)
    interrupted = False
    for number, (k, kind) in enumerate(grid):
        path = None if checkpoint is None else f"{checkpoint}.{number}"
        given = dict(options, key=jax.random.fold_in(key, number), checkpoint=path)
        given |= dict(pad_to=pad.get((k, kind)), n_starts=n_starts)
        try:
            rows.append(_row(make(k, kind), (k, kind), x, sample_weight, folds, given))
        except KeyboardInterrupt:
            if not rows:
                raise
            interrupted = True
        if interrupted or was_interrupted(rows[-1].fits):
            break
    report = total([row.fits.report for row in rows])
    report = dataclasses.replace(report, interrupted=interrupted or report.interrupted)
    return Sweep(tuple(rows), criterion, report)


def _gaussians(k: int, kind: str) -> Mixture:
    """The model of a sweep where the caller gives no others."""
    return Mixture(Gaussian(kind), n_components=k)


def padding(
    make: Models, grid: list[tuple[int, str]], rows: int, options: dict[str, Any]
) -> dict[tuple[int, str], int]:
    """The number of components to compute for each model of the grid: several sizes share one set
    of compiled programs where the components that are switched off cost less than compiling.
    `rows` is the number of rows × starts."""
    if options.get("init", "k-means++") not in ("k-means++", "kmeans", "random_from_data"):
        return {}
    out: dict[tuple[int, str], int] = {}
    for kind in {kind for _, kind in grid}:
        sizes = sorted({k for k, other in grid if other == kind})
        model = make(sizes[-1], kind)
        if model.weight_prior is not None or model.family.prior is not None:
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


def _row(
    model: Mixture, label: tuple[int, str], x: Rows, weight: Rows, folds: int, options: dict
) -> Row:
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
    model: Mixture, x: Rows, folds: int, sample_weight: Rows, options: dict
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
    return model.log_prob(params, as_data(x).x)
