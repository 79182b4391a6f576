"""From starts to the best fit: every start to its end, or a race and then its winner."""

import dataclasses
import functools

import jax
import numpy as np

from jaxem.batch import problem as posing
from jaxem.batch import scheduler
from jaxem.batch.planning import Plan, Shape, plan_batch
from jaxem.batch.problem import Resources, batch_of
from jaxem.batch.state import Batch
from jaxem.core.status import SOUND, Status
from jaxem.core.trees import replace
from jaxem.engine.finish import cast
from jaxem.engine.steps import Control
from jaxem.models import Mixture, MixtureParams
from jaxem.results.fit import Fit
from jaxem.search.driver import run_search
from jaxem.search.options import Watch
from jaxem.search.race import Race
from jaxem.sklearn.data import Rows, padded_components
from jaxem.sklearn.iteration import iterate

#: Largest tol of a race: with a looser one, fits of one optimum differ as much as optima do.
TELLING = 1e-6

#: Relative difference of lower bounds that counts as equal, as after a permutation of clusters.
ROUNDING = 1e-12


class SingularStarts(Exception):
    """The covariances of all starts became singular."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """One model and its rows, as given and in standard units."""

    model: Mixture  # in the units of x
    inner: Mixture  # in standard units
    rows: Rows
    tol: float
    max_iter: int

    def batch(self, n_starts: int) -> Batch:
        """Lanes for the batch engine, of the inner model."""
        data, scaling = self.rows.data(), self.rows.scaling
        posed = posing.Problem(self.model, [data], data, scaling, np.zeros(1, int), shared=True)
        batch = batch_of(posed, n_starts, Control(self.tol, self.max_iter), Resources())
        # What is prepared of the rows does not depend on `reg_covar`.
        grid = replace(batch.grid, model=cast(self.inner, np.float64))
        return dataclasses.replace(batch, grid=grid)

    def plan(self, n_starts: int) -> Plan:
        """Sizes of lanes and blocks."""
        return _plan(self.model, *self.rows.z.shape, n_starts)

    def wide(self, n_starts: int) -> Mixture:
        """The inner model as it is computed, with components that are switched off."""
        k, rows = self.inner.n_components, len(self.rows.z)
        return self.inner.padded(padded_components(k, rows * n_starts))


@functools.lru_cache
def _plan(model: Mixture, n: int, d: int, n_starts: int) -> Plan:
    shape = Shape(n, model.cost(d, np.float64), n_starts, 1, np.dtype(np.float64).itemsize)
    return plan_batch(shape)


@dataclasses.dataclass(frozen=True)
class Found:
    """The fits of all starts, and the number of the best."""

    fits: Fit  # axis [starts]
    winner: int
    converged: np.ndarray  # b[starts]; b[1], of the winner, after a race
    lower_bounds: list[list[float]]  # of each start; of the winner after a race

    @property
    def best(self) -> tuple[Fit, bool, list[float]]:
        """The winning start, whether it converged, and its lower bounds."""
        place = self.winner if len(self.lower_bounds) > 1 else 0
        return self.fits[self.winner], bool(self.converged[place]), self.lower_bounds[place]


def exhaustive(problem: Problem, starts: MixtureParams, bound: float = -np.inf) -> Found:
    """Every start to its end by scikit-learn's iteration; the first of highest lower bound wins.

    The winner is run once more alone. Rounding depends on the number of lanes of a program; run
    alone, the winner has the bits of a call with that start only, so more starts are never worse.
    """
    fits, converged, bounds = iterate(problem, starts, bound)
    failed = fits.status == Status.SINGULAR
    if failed.all():
        raise SingularStarts
    # Without iterations scikit-learn keeps its last start.
    last = np.array([line[-1] if line else i for i, line in enumerate(bounds)])
    last = np.where(failed, -np.inf, last)
    winner = int(np.argmax(last >= last.max() - ROUNDING * (1 + abs(last.max()))))
    if len(bounds) > 1 and problem.max_iter > 0:
        alone = jax.tree.map(lambda leaf: leaf[winner : winner + 1], starts)
        again, converged[winner : winner + 1], (bounds[winner],) = iterate(problem, alone, bound)
        fits = fits.put([winner], again)
    return Found(fits, winner, converged, bounds)


def race(given: Problem, starts: MixtureParams, progress: bool) -> Found:
    """A race of all starts; then the winner once more from its start by scikit-learn's iteration.

    Both use tol, but at most `TELLING`. The winner has converged if its last change is below the
    tol of the estimator.
    """
    problem = dataclasses.replace(given, tol=min(given.tol, TELLING))
    runs = scheduler.start_at(problem.batch(len(starts.weights)), starts)
    fits = run_search(runs, [Race(True, problem.max_iter)], Watch(progress=progress)).fits
    usable = np.isfinite(fits.objective) & np.isin(fits.status, (*SOUND, Status.DEGENERATE))
    if not usable.any():
        raise SingularStarts
    chosen = usable & fits.sound if fits.sound.any() else usable
    winner = int(np.argmax(np.where(chosen, fits.objective, -np.inf)))
    found = exhaustive(problem, jax.tree.map(lambda leaf: leaf[winner : winner + 1], starts))
    last = np.diff(found.lower_bounds[0][-2:])
    converged = np.array([last.size > 0 and abs(last[0]) < given.tol])
    return Found(fits.put([winner], found.fits), winner, converged, found.lower_bounds)
