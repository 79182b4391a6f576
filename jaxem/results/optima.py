"""`Optima`: the distinct optima that many starts reached."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxem.core.repr import constructor


def rounding(objective: Any) -> float:
    """Eight units in the last place of the largest finite objective: twice what float32 runs that
    end at one optimum were seen to differ by."""
    values = np.asarray(objective)
    size = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    return float(8 * np.finfo(values.dtype).eps * size)


def last_leaders(follows: np.ndarray) -> np.ndarray:
    """Where each start's path ended: at itself, or at the end of the path it had joined."""
    own = np.arange(follows.size)
    last = np.where(follows >= 0, follows, own)
    while (last[last] != last).any():
        last = last[last]
    return last


@dataclass(frozen=True)
class Optima:
    """Distinct optima by objective: within `gap` (in nats) of one another counts as the same."""

    values: np.ndarray  #: f[m], objectives of the distinct optima, best first
    counts: np.ndarray  #: i[m], how many starts ended at each; 0 for those of children alone

    starts: int  #: all starts, those included that ended nowhere sound or left the race

    def __repr__(self) -> str:
        return constructor(self)

    @classmethod
    def of(cls, objectives: np.ndarray, gap: float, starts: int, children: Any = ()) -> "Optima":
        """Group sorted objectives, of starts and children, wherever two neighbours are further
        apart than `gap`; count those of starts."""
        values = np.r_[np.asarray(objectives, float), np.asarray(children, float)]
        order = np.argsort(-values, kind="stable")
        counted, values = order < np.size(objectives), values[order]
        if values.size == 0:
            return cls(values, np.zeros(0, int), starts)
        first = np.r_[True, values[:-1] - values[1:] > gap]
        counts = np.add.reduceat(counted.astype(int), np.flatnonzero(first))
        return cls(values[first], counts, starts)

    @property
    def best_count(self) -> int:
        """How many starts reached the best optimum."""
        return int(self.counts[0]) if self.counts.size else 0

    @property
    def missed(self) -> float:
        """Good and Turing's estimate (1953, Biometrika 40, 237) of the chance that one more start
        ends at an optimum not seen yet: the share of starts whose optimum was seen once. What the
        race left behind counts as seen, so that after a race this is about contenders for the
        best. An upper bound for the chance that a better optimum was missed."""
        return float((self.counts == 1).sum() / self.starts) if self.counts.size else 1.0
