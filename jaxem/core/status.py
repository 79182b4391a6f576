"""Outcomes of fits: one code per lane, and a sentence that explains each."""

import enum


class Status(enum.IntEnum):
    """Outcome of one fit (one lane). Only `CONVERGED` means that the stopping rule was met.

    >>> jaxem.Status(3).name
    'MAX_ITER'
    """

    RUNNING = 0
    CONVERGED = 1
    STALLED = 2
    MAX_ITER = 3
    SINGULAR = 4
    EMPTY_COMPONENT = 5
    DECREASED = 6
    NONFINITE = 7
    PRUNED = 8
    DEGENERATE = 9


MESSAGES = {
    Status.RUNNING: "still running",
    Status.CONVERGED: "the stopping rule was met",
    Status.STALLED: "flat to this precision before the stopping rule was met; "
    "loosen tol or use float64",
    Status.MAX_ITER: "max_iter was reached first; raise max_iter or loosen tol",
    Status.SINGULAR: "a component's parameters became unusable (a covariance lost its rank); use "
    "fewer components, a prior or reg_covar, or a simpler covariance_type",
    Status.EMPTY_COMPONENT: "a component lost all its rows, or the data have too few; use fewer "
    "components or a prior",
    Status.DECREASED: "the objective fell by more than rounding; the step was refused",
    Status.NONFINITE: "the objective is not finite at these parameters; check the data and start",
    Status.PRUNED: "left the race early, before convergence",
    Status.DEGENERATE: "a spurious maximum: a component sits on too few rows or is far narrower "
    "than the others",
}

#: Statuses whose parameters are a usable answer, candidates for `best()`.
SOUND = (Status.CONVERGED, Status.STALLED, Status.MAX_ITER)
