"""`Fit`: finished fits, each with its parameters, likelihood and status."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxem.core.status import MESSAGES, SOUND, Status
from jaxem.core.trees import note, pytree, replace, static
from jaxem.core.types import Array, Params, Rows
from jaxem.results import text
from jaxem.results.known_model import KnownModel, ask, draw, model_of
from jaxem.results.optima import Optima, last_leaders, rounding
from jaxem.results.report import Report

if TYPE_CHECKING:
    from jaxem.results.information_criteria import Criteria


@pytree
class Fit:
    """Finished fits; lane axes lead every leaf, and `fit[i]` indexes all of them.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> fits.log_likelihood.shape, fits.params.means.shape
    ((8,), (8, 2, 2))
    >>> fits.optima().best_count  # starts that reached the best
    8
    >>> axis = fits.plot.starts()
    """

    params: Params
    log_likelihood: Array  #: f[...], total, of exactly these parameters
    objective: Array  #: f[...], log-likelihood (classification likelihood if hard) + log prior
    status: Array  #: i[...], see `jaxem.Status`
    n_iter: Array  #: i[...], E-steps after the first
    trace: Array | None = (
        None  #: f[..., max_iter + 1], objective after each iteration, NaN after the end
    )
    follows: Array | None = (
        None  #: i[...], for a PRUNED start: the start whose path it had joined, or -1
    )
    #: i[...], for a fit made by split and merge: the index of its parent at that time, else -1.
    #: A proposal takes the index of a pruned start; a later one may have replaced the parent.
    parent: Array | None = None
    report: Report | None = note(default=None)
    known: KnownModel | None = static(default=None)  # see `model`

    def __getitem__(self, index: Rows) -> "Fit":
        return jax.tree.map(lambda leaf: leaf[index], self)

    def put(self, lanes: np.ndarray | list[int], other: "Fit") -> "Fit":
        """These fits with the m fits of `other` at `lanes` i[m] or b[lanes] of the first axis. The
        results are NumPy arrays in the dtypes of these fits. `follows`, `parent` and `report` are
        kept, and the trace where `other` has none."""

        def merged(old: Array, new: Array) -> np.ndarray:
            out = np.array(old)
            out[lanes] = np.asarray(new)
            return out

        names = ["params", "log_likelihood", "objective", "status", "n_iter"]
        names += ["trace"] if self.trace is not None and other.trace is not None else []
        parts = {n: jax.tree.map(merged, getattr(self, n), getattr(other, n)) for n in names}
        return replace(self, **parts)

    @property
    def model(self) -> Any:
        """The model that was fitted; None where it was traced (an argument of `jit` or `vmap`)."""
        return None if self.known is None else self.known.model

    def of(self, model: Any, soft: bool = True) -> "Fit":
        """The same fits, which know their model, and whether they maximise the likelihood (`soft`)
        or were hard or tempered."""
        return replace(self, known=KnownModel(model, soft))

    def predict(self, x: Rows) -> jax.Array:
        """The most probable component of each row i[n], of one fit."""
        return ask(self, "predict", x)

    def predict_proba(self, x: Rows) -> jax.Array:
        """Posterior probability of each component f[n, k], of one fit."""
        return ask(self, "predict_proba", x)

    def log_prob(self, x: Rows) -> jax.Array:
        """Log density of each row f[n], of one fit."""
        return ask(self, "log_prob", x)

    def sample(self, key: jax.Array | int, n: int) -> tuple[jax.Array, jax.Array]:
        """n rows f[n, d] drawn from one fit, and the component of each i[n]."""
        return draw(self, key, n)

    def criteria(self, x: Rows, sample_weight: Rows = None) -> "Criteria":
        """BIC, AIC and ICL of one fit: see `jaxem.criteria`."""
        module = import_module("jaxem.results.information_criteria")
        return module.criteria(model_of(self, "criteria"), self, x, sample_weight)

    def standard_errors(self, x: Rows, sample_weight: Rows = None, labels: Rows = None) -> Params:
        """The standard error of every parameter of one fit: see `jaxem.standard_errors`."""
        module = import_module("jaxem.inference")
        model = model_of(self, "standard_errors")
        if self.known is not None and not self.known.soft:
            raise ValueError(
                "standard errors are those of a maximum of the likelihood: fit with "
                "assignment='soft' and exponent=None."
            )
        return module.standard_errors(model, self.params, x, sample_weight, labels)

    @property
    def converged(self) -> Array:
        """True where the stopping rule was met."""
        return self.status == Status.CONVERGED

    @property
    def sound(self) -> np.ndarray:
        """True for fits that `best()` may choose."""
        return np.isin(np.asarray(self.status), SOUND)

    def best(self) -> "Fit":
        """The sound fit of highest objective, without the last lane axis. Of fits within rounding
        (32 units in the last place) of the highest, one that converged is preferred.

        Axes [data sets, starts], from `fit_many`: the best start of every data set; where a data
        set has no sound fit, its first start, whose status gives the reason. ValueError for a
        single axis without a sound fit.
        """
        sound = self.sound
        if sound.ndim == 0:
            if not sound:
                raise ValueError(f"This fit is not sound: {self.summary()}")
            return self
        if sound.ndim == 1 and not sound.any():
            raise ValueError(f"No sound fit among {sound.size}: {self.summary()}")
        winner = self._leader(sound)
        if sound.ndim == 1:
            return self[int(winner)]
        grid = np.ogrid[tuple(slice(0, size) for size in sound.shape[:-1])]
        return self[(*grid, winner)]

    def _leader(self, sound: np.ndarray) -> np.ndarray:
        value = np.where(sound, np.asarray(self.objective), -np.inf)
        top = value.max(axis=-1, keepdims=True)
        near = 32 * np.finfo(value.dtype).eps * np.abs(np.where(np.isfinite(top), top, 0))
        settled = (value >= top - near) & np.asarray(self.converged)
        chosen = np.where(settled.any(axis=-1, keepdims=True), settled, True)
        return np.where(chosen, value, -np.inf).argmax(axis=-1)

    def status_counts(self) -> dict[str, int]:
        """The number of fits of each status, by its name, in the order of `jaxem.Status`."""
        codes, counts = np.unique(np.asarray(self.status), return_counts=True)
        return {Status(c).name: int(n) for c, n in zip(codes, counts, strict=True)}

    def summary(self) -> str:
        """The number of fits of each status, with the remedy for each kind of failure; and what a
        search on a part of the rows saved."""
        found = self.status_counts().items()
        parts = [f"{count} {name} ({MESSAGES[Status[name]]})" for name, count in found]
        saved = "" if self.report is None else self.report.savings
        return "; ".join(parts) + "." + (f" {saved}" if saved else "")

    def optima(self, gap: float | None = None) -> Optima:
        """The distinct optima that the starts of one data set reached (see `Optima`).

        Objectives within `gap` nats count as one optimum. None: the largest of 1e-3, ten times the
        gain (tol × total weight) at which a run stops, and the rounding error of the objective. A
        start that the race stopped because it had joined the path of another start counts at the
        optimum of the other. Optima of proposals (see `parent`) are listed, only starts count.
        """
        if np.ndim(self.status) != 1:
            raise ValueError(f"optima() needs one axis of starts; got {np.shape(self.status)}.")
        ends, sound = np.asarray(self.objective, float), self.sound
        proposed = np.zeros(0) if self.parent is None else ends[sound & (self.parent >= 0)]
        if self.follows is not None:
            last = last_leaders(np.asarray(self.follows))
            ends, sound = ends[last], sound[last]
        if self.parent is not None:
            sound = sound & (np.asarray(self.parent) < 0)
        if gap is None:
            stopping = 10 * self.report.stopping_gain if self.report else 0.0
            gap = max(1e-3, stopping, rounding(self.objective))
        return Optima.of(ends[sound], gap, ends.size, proposed)

    @property
    def plot(self):
        """Pictures of these fits, one call each: see `jaxem.plot.FitPlots`."""
        return import_module("jaxem.plot").FitPlots(self)

    def __repr__(self) -> str:
        return text.fit_line(self)

    def _repr_html_(self) -> str:
        return text.fit_html(self)
