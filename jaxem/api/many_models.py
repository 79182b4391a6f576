"""Choosing a model: criteria of a fit, and `sweep` over components, covariance types and starts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.api.one_data_set import fit, precision_of
from jaxem.core.compiled import jitted
from jaxem.core.program_memory import make_room
from jaxem.data.data import as_data
from jaxem.data.ragged import COMPILE, EXPECTED
from jaxem.families import Gaussian
from jaxem.models import Mixture
from jaxem.results import text
from jaxem.results.fit import Fit, Report


@dataclass(frozen=True)
class Criteria:
    """Criteria of one fit, see `criteria`: lower is better, except `log_likelihood`.

    >>> jaxem.Criteria(log_likelihood=-100.0, n_parameters=5, bic=223.0, aic=210.0, icl=230.0).bic
    223.0
    """

    log_likelihood: float
    n_parameters: int
    bic: float
    aic: float
    icl: float  #: of the most probable components (Biernacki, Celeux, Govaert 2000)
    icl_entropy: float | None = None  #: of the entropy; None where it was not computed


def criteria(model: Mixture, fit: Fit, x: Any, sample_weight: Any = None) -> Criteria:
    """BIC (Schwarz 1978), AIC (Akaike 1974) and ICL (Biernacki, Celeux, Govaert 2000) of one fit.

    BIC = p ln n − 2 ln L, AIC = 2p − 2 ln L, ICL = BIC − 2 Σ w ln max_k r, the likelihood of rows
    each with its most probable component, as mclust's. `icl_entropy` = BIC + 2 Σ w entropy(r), the
    expectation over components instead, is never lower. All have scikit-learn's sign: lower is
    better (mclust's is the opposite). n is the total weight. `fit` has no lane axis; x f[n, d].

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> best = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best()
    >>> round(jaxem.criteria(model, best, x).bic, 1)
    2322.2
    """
    x = np.asarray(x)
    x = x[:, None] if x.ndim == 1 else x
    weight = np.ones(len(x)) if sample_weight is None else np.asarray(sample_weight, float)
    make_room()
    p, likelihood = model.n_parameters(x.shape[1]), float(fit.log_likelihood)
    with precision_of(np.asarray(fit.log_likelihood).dtype):
        r = np.asarray(_responsibilities(model, fit.params, jnp.asarray(x)), float)
    entropy = -float(weight @ np.sum(r * np.log(np.maximum(r, 1e-300)), axis=1))
    doubt = -float(weight @ np.log(np.max(r, axis=1)))
    bic = float(p * np.log(weight.sum()) - 2 * likelihood)
    aic = 2 * p - 2 * likelihood
    return Criteria(likelihood, p, bic, aic, bic + 2 * doubt, bic + 2 * entropy)


@jitted
def _responsibilities(model, params, x):
    return model.predict_proba(params, as_data(x).x)


@dataclass(frozen=True)
class Row:
    """One model of a sweep: what was fitted, how it scored, how its starts ended."""

    n_components: int
    covariance_type: str
    model: Mixture
    fits: Fit  #: all starts, axis [starts]
    criteria: Criteria | None  #: of the best start; None where no start was sound
    held_out: float | None = None  #: mean held-out log-likelihood per unit weight, higher is better

    @property
    def best_count(self) -> int:
        """How many starts reached the best optimum."""
        return self.fits.optima().best_count


@dataclass(frozen=True)
class Sweep:
    """All models of a sweep; `criterion` decides `best`.

    >>> x = datasets.load("old_faithful")
    >>> table = jaxem.sweep(x, range(1, 3), key=jax.random.key(0), n_starts=8)
    >>> table[2, "full"].fits
    Fit(8 fits, best log-likelihood -1130.26, ...)
    >>> axis = table.plot.criterion("bic")
    """

    rows: tuple[Row, ...]
    criterion: str
    report: Report

    def __getitem__(self, key: tuple[int, str]) -> Row:
        """The row of (n_components, covariance_type)."""
        for row in self.rows:
            if (row.n_components, row.covariance_type) == key:
                return row
        known = [(row.n_components, row.covariance_type) for row in self.rows]
        raise KeyError(f"no model {key} in this sweep; choose from {known}")

    @property
    def best(self) -> Row:
        """The row of the lowest criterion (highest held-out likelihood); ValueError if no fit of
        any model is sound."""
        scored = [row for row in self.rows if row.criteria is not None]
        if not scored:
            ends = "" if not self.rows else f" Of the last: {self.rows[-1].fits.summary()}"
            raise ValueError(f"No model of this sweep has a sound fit.{ends}")
        return min(scored, key=self._score)

    def _score(self, row: Row) -> float:
        if self.criterion == "held_out":
            return -np.inf if row.held_out is None else -row.held_out
        value = getattr(row.criteria, self.criterion)
        return np.inf if value is None or np.isnan(value) else value

    def table(self) -> list[dict[str, Any]]:
        """One dict a model: sizes, criteria, starts at the best optimum, statuses."""
        return [_table_row(row) for row in self.rows]

    @property
    def plot(self):
        """Pictures of this sweep, one call each: see `jaxem.plot.SweepPlots`."""
        from jaxem.plot.accessor import SweepPlots

        return SweepPlots(self)

    def __repr__(self) -> str:
        return text.sweep_text(self)

    def _repr_html_(self) -> str:
        return text.sweep_html(self)


CRITERIA = ("bic", "aic", "icl", "icl_entropy", "held_out")


def sweep(
    x: Any,
    n_components: Iterable[int] = range(1, 10),
    covariance_type: str | Sequence[str] = "full",
    *,
    key: jax.Array,
    n_starts: int = 50,
    criterion: str = "bic",
    folds: int = 0,
    sample_weight: Any = None,
    checkpoint: Any = None,
    models: Any = None,
    **options: Any,
) -> Sweep:
    """Fit every (n_components, covariance_type) from `n_starts` starts and score them all.

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
    make = models or (lambda k, kind: Mixture(Gaussian(kind), n_components=k))
    grid = [(int(k), kind) for kind in types for k in n_components]
    if not grid:
        raise ValueError("nothing to fit: n_components or covariance_type is empty.")
    rows, pad = [], padding(make, grid, np.shape(x)[0] * n_starts, options)
    for number, (k, kind) in enumerate(grid):
        path = None if checkpoint is None else f"{checkpoint}.{number}"
        own = dict(options, key=jax.random.fold_in(key, number), checkpoint=path)
        own["pad_to"] = pad.get((k, kind))
        rows.append(_row(make(k, kind), k, kind, x, sample_weight, n_starts, folds, own))
    return Sweep(tuple(rows), criterion, total([row.fits.report for row in rows]))


def padding(make, grid, rows, options) -> dict[tuple[int, str], int]:
    """How many components to compute each model with: several sizes share one set of compiled
    programs where the components that are switched off cost less than compiling."""
    if options.get("init", "k-means++") not in ("k-means++", "kmeans", "random_from_data"):
        return {}
    out: dict[tuple[int, str], int] = {}
    for kind in {kind for _, kind in grid}:
        sizes = sorted({k for k, other in grid if other == kind})
        model = make(sizes[-1], kind)
        if model.weight_prior is not None or getattr(model.family, "prior", None) is not None:
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


def total(reports: Sequence[Report | None]) -> Report:
    """Reports of several calls as one."""
    known = [report for report in reports if report is not None]
    return Report(
        executed=sum(r.executed for r in known),
        needed=sum(r.needed for r in known),
        programs=sum(r.programs for r in known),
        compile_seconds=sum(r.compile_seconds for r in known),
        run_seconds=sum(r.run_seconds for r in known),
    )


def _row(model, k, kind, x, weight, n_starts, folds, options) -> Row:
    fits = fit(model, x, n_starts=n_starts, sample_weight=weight, **options)
    scored = criteria(model, fits.best(), x, weight) if fits.sound.any() else None
    held_out = cross_validate(model, x, folds, weight, n_starts, options) if folds else None
    return Row(k, kind, model, fits, scored, held_out)


def cross_validate(model, x, folds, sample_weight, n_starts, options) -> float | None:
    """Mean held-out log-likelihood per unit weight over `folds` random folds; None where a fold
    has no sound fit. A fold is a weight of 0, so all folds run the same compiled programs."""
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
        own: dict[str, Any] = {**options, "checkpoint": path and f"{path}.fold{i}"}
        fits = fit(model, x, n_starts=n_starts, sample_weight=np.where(held, 0, weight), **own)
        if not fits.sound.any():
            return None
        best = fits.best()
        with precision_of(np.asarray(best.log_likelihood).dtype):
            density = np.asarray(_log_prob(model, best.params, jnp.asarray(x)), float)
        score += float(weight[held] @ density[held])
    return score / float(weight.sum())


@jitted
def _log_prob(model, params, x):
    return model.log_prob(params, as_data(x).x)


def _table_row(row: Row) -> dict[str, Any]:
    c, optima = row.criteria, row.fits.optima()
    return {
        "n_components": row.n_components,
        "covariance_type": row.covariance_type,
        "log_likelihood": None if c is None else c.log_likelihood,
        "n_parameters": None if c is None else c.n_parameters,
        "bic": None if c is None else c.bic,
        "aic": None if c is None else c.aic,
        "icl": None if c is None else c.icl,
        "icl_entropy": None if c is None else c.icl_entropy,
        "held_out": row.held_out,
        "best_count": optima.best_count,
        "distinct_optima": len(optima.values),
        "missed": optima.missed,
        "n_starts": int(np.size(row.fits.status)),
        "statuses": row.fits.summary(),
    }
