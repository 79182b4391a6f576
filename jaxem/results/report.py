"""`Report`: how the work of a call went."""

from dataclasses import dataclass

from jaxem.core.repr import constructor


@dataclass(frozen=True, eq=False)
class Report:
    """How the work went; no part of the fits' value.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> report = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).report
    >>> report.needed > 0 and report.waste >= 1
    True
    """

    executed: int = 0  #: lane-iterations the machine ran, those of lanes that had ended included
    needed: int = 0  #: lane-iterations the fits asked for
    programs: int = 0  #: programs this call asked the compiler for
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    kernel: str = ""
    stopping_gain: float = 0.0  #: tol × total weight, in nats: below, optima are not told apart
    resumed: bool = False
    interrupted: bool = False  #: Ctrl-C ended the call before all fits had ended

    def __repr__(self) -> str:
        return constructor(self)

    @property
    def waste(self) -> float:
        """Executed over needed lane-iterations: 1 is perfect packing."""
        return self.executed / max(self.needed, 1)

    # Equal and alike in a cache of compiled programs, which depend on no report.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report)

    def __hash__(self) -> int:
        return 0
