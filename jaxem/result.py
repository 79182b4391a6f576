"""`Fit`: finished fits, each with its parameters, likelihood and status."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxem.pytree import pytree, static
from jaxem.status import MESSAGES, SOUND, Status


@dataclass(frozen=True, eq=False)
class Report:
    """How the work went; no part of the fits' value."""

    executed: int = 0  # lane-iterations the machine ran, those of lanes that had ended included
    needed: int = 0  # lane-iterations the fits asked for
    programs: int = 0  # programs this call asked the compiler for
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    kernel: str = ""
    resumed: bool = False

    @property
    def waste(self) -> float:
        """Executed over needed lane-iterations: 1 is perfect packing."""
        return self.executed / max(self.needed, 1)

    # Equal and alike in a cache of compiled programs, which depend on no report.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report)

    def __hash__(self) -> int:
        return 0


@pytree
class Fit:
    """Finished fits; lane axes lead every leaf, and `fit[i]` indexes all of them."""

    params: Any
    log_likelihood: Any  # f[...], total, of exactly these parameters
    objective: Any  # f[...], log-likelihood (classification likelihood if hard) + log prior
    status: Any  # i[...], see `jaxem.Status`
    n_iter: Any  # i[...], E-steps after the first
    trace: Any = None  # f[..., max_iter + 1], objective after each iteration, NaN after the end
    report: Report | None = static(default=None)

    def __getitem__(self, index: Any) -> "Fit":
        return jax.tree.map(lambda leaf: leaf[index], self)

    @property
    def converged(self) -> Any:
        """True where the stopping rule was met."""
        return self.status == Status.CONVERGED

    @property
    def sound(self) -> np.ndarray:
        """True for fits that `best()` may choose."""
        return np.isin(np.asarray(self.status), SOUND)

    def best(self) -> "Fit":
        """The sound fit of highest objective, its last lane axis dropped.

        Of `fit_many` with axes [data sets, starts]: the best start of every data set; a data set
        without a sound fit gives its first one, whose status tells why. Of a single axis without
        any sound fit: ValueError.
        """
        sound = self.sound
        if sound.ndim == 0:
            if not sound:
                raise ValueError(f"This fit is not sound: {self.summary()}")
            return self
        if sound.ndim == 1 and not sound.any():
            raise ValueError(f"No sound fit among {sound.size}: {self.summary()}")
        winner = np.where(sound, np.asarray(self.objective), -np.inf).argmax(axis=-1)
        if sound.ndim == 1:
            return self[int(winner)]
        grid = np.ogrid[tuple(slice(0, size) for size in sound.shape[:-1])]
        return self[(*grid, winner)]

    def summary(self) -> str:
        """How many fits ended how, with the remedy for each kind of failure."""
        codes, counts = np.unique(np.asarray(self.status), return_counts=True)
        parts = [
            f"{n} {Status(c).name} ({MESSAGES[Status(c)]})"
            for c, n in zip(codes, counts, strict=True)
        ]
        return "; ".join(parts) + "."

    def optima(self, gap: float = 1e-3) -> "Optima":
        """The distinct optima among sound fits on one axis (see `Optima`)."""
        return Optima.of(np.asarray(self.objective)[self.sound], gap)

    def __repr__(self) -> str:
        shape = np.shape(self.status)
        if not shape:
            return (
                f"Fit({Status(int(self.status)).name} after {int(self.n_iter)} iterations, "
                f"log-likelihood {float(self.log_likelihood):.6g})"
            )
        values = np.asarray(self.log_likelihood)[self.sound]
        top = f"best log-likelihood {values.max():.6g}" if values.size else "no sound fit"
        axes = " × ".join(map(str, shape))
        return f"Fit({axes} fits, {int(self.sound.sum())} sound, {top})"


@dataclass(frozen=True)
class Optima:
    """Distinct optima by objective: within `gap` (in nats) of one another counts as the same."""

    values: np.ndarray  # f[m], objectives of the distinct optima, best first
    counts: np.ndarray  # i[m], how many starts ended at each

    @classmethod
    def of(cls, objectives: np.ndarray, gap: float) -> "Optima":
        """Group sorted objectives wherever two neighbours are further apart than `gap`."""
        values = np.sort(np.asarray(objectives, float))[::-1]
        if values.size == 0:
            return cls(values, np.zeros(0, int))
        first = np.r_[True, values[:-1] - values[1:] > gap]
        counts = np.diff(np.r_[np.flatnonzero(first), values.size])
        return cls(values[first], counts)

    @property
    def best_count(self) -> int:
        """How many starts reached the best optimum."""
        return int(self.counts[0]) if self.counts.size else 0

    @property
    def missed(self) -> float:
        """Good and Turing's estimate (1953, Biometrika 40, 237) of the chance that one more start
        ends at an optimum not seen yet: the share of optima seen once. An upper bound for the
        chance that a better one was missed."""
        total = self.counts.sum()
        return float((self.counts == 1).sum() / total) if total else 1.0
