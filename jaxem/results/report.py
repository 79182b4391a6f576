"""`Report`: work, time and compilations of a call."""

from dataclasses import dataclass

from jaxem.core.repr import constructor


@dataclass(frozen=True)
class Report:
    """Work, time, compilations of a call. Fits are compared without it (`jaxem.core.trees.note`).

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> report = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).report
    >>> report.needed > 0 and report.waste >= 1
    True
    """

    executed: int = 0  #: lane-iterations that ran, including those of lanes that had ended
    needed: int = 0  #: lane-iterations of the fits, up to the end of each
    #: lane-iterations on all rows that a race's iterations on a part of them stood for, less their
    #: own work, each counted as the share of the rows it read (as in `executed` and `needed`)
    saved: int = 0
    programs: int = 0  #: programs that this call compiled
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    kernel: str = ""
    stopping_gain: float = 0.0  #: tol × total weight, in nats; optima closer than this count as one
    interrupted: bool = False  #: whether Ctrl-C ended the call before all fits had ended

    def __repr__(self) -> str:
        return constructor(self)

    @property
    def waste(self) -> float:
        """Executed over needed lane-iterations: 1 is perfect packing."""
        return self.executed / max(self.needed, 1)

    @property
    def savings(self) -> str:
        """What a search that began on a part of the rows saved, in words; empty where none did."""
        if self.saved <= 0:
            return ""
        return (
            f"The search began on a part of the rows, which saved {self.saved:,} iterations on all."
        )
