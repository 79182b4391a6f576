"""`Optima`: the distinct optima that many starts reached."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.repr import constructor


def rounding(objective: ArrayLike) -> float:
    """Rounding error of objectives: eight units in the last place of the largest finite one, twice
    the largest difference seen between float32 runs that end at one optimum."""
    values = np.asarray(objective)
    size = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    return float(8 * np.finfo(values.dtype).eps * size)


def last_leaders(follows: np.ndarray) -> np.ndarray:
    """For each start the start at which its path ends: itself, or the end of the path it joined."""
    last = np.where(follows >= 0, follows, np.arange(follows.size))
    while (last[last] != last).any():
        last = last[last]
    return last


@dataclass(frozen=True)
class Optima:
    """Distinct optima: objectives within `gap` nats of their neighbours count as one optimum."""

    values: np.ndarray  #: f[m], objectives of the distinct optima, best first
    counts: np.ndarray  #: i[m], number of starts at each; 0 where only proposals ended there

    starts: int  #: all starts, including pruned ones and those without a sound fit

    def __repr__(self) -> str:
        return constructor(self)

    @classmethod
    def of(
        cls, objectives: np.ndarray, gap: float, starts: int, proposed: ArrayLike = ()
    ) -> "Optima":
        """Group the objectives of starts and of proposals: neighbours further apart than `gap`
        belong to different optima. Only starts are counted."""
        values = np.r_[np.asarray(objectives, float), np.asarray(proposed, float)]
        order = np.argsort(-values, kind="stable")
        counted, values = order < np.size(objectives), values[order]
        if values.size == 0:
            return cls(values, np.zeros(0, int), starts)
        first = np.r_[True, values[:-1] - values[1:] > gap]
        counts = np.add.reduceat(counted.astype(int), np.flatnonzero(first))
        return cls(values[first], counts, starts)

    @property
    def best_count(self) -> int:
        """The number of starts that reached the best optimum."""
        return int(self.counts[0]) if self.counts.size else 0

    @property
    def missed(self) -> float:
        """Good and Turing's estimate (1953, Biometrika 40, 237) of the chance that one more start
        ends at an optimum not seen yet: the share of starts whose optimum was seen once. Optima of
        pruned starts count as seen, so after a race the estimate is about contenders for the best.
        An upper bound for the chance that a better optimum was missed."""
        return float((self.counts == 1).sum() / self.starts) if self.counts.size else 1.0
