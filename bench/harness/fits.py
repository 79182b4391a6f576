"""Whole fits as variants: jaxem's, and scikit-learn's a few at a time."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import jaxem
from bench.harness import peers
from bench.harness.machine import cores
from bench.harness.rows import outcome


def full_mixture(k: int) -> jaxem.Mixture:
    """The model of nearly every question: k Gaussians of full covariance."""
    return jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)


class OwnFits:
    """A call of `jaxem.fit` or `fit_many` as a variant: the last fits and the first compile time
    are kept."""

    def __init__(self, call: Callable[..., jaxem.Fit], *arguments: Any, **options: Any):
        self.call = lambda: call(*arguments, **options)
        self.fits: Any = None
        self.compile_seconds: float | None = None

    def __call__(self) -> float:
        begun = time.perf_counter()
        self.fits = self.call()
        seconds = time.perf_counter() - begun
        if self.compile_seconds is None:
            self.compile_seconds = self.fits.report.compile_seconds
        return seconds

    def known(self) -> dict[str, Any]:
        """What a row says of the last fits, besides their seconds."""
        return outcome(self.fits) | dict(
            compile_seconds=self.compile_seconds,
            threads=cores(),
            waste=self.fits.report.waste,
        )


class SklearnFits:
    """scikit-learn's fits as a variant: the next `count` of them on every call, whose seconds are
    scaled to `whole`. `work(i)` is the data and options of the fit numbered i."""

    def __init__(self, work: Callable[[int], tuple], count: int, whole: int, mode: str):
        self.work, self.count, self.whole, self.mode = work, count, whole, mode
        self.fits: list[dict[str, Any]] = []

    def __call__(self) -> float:
        first = len(self.fits)
        work = [self.work(first + i) for i in range(self.count)]
        begun = time.perf_counter()
        self.fits += peers.sklearn_fits(work, self.mode, cores())
        return (time.perf_counter() - begun) * self.whole / self.count

    def known(self) -> dict[str, Any]:
        """What a row says of all fits made, besides their seconds."""
        return dict(
            iterations=float(np.mean([fit["n_iter"] for fit in self.fits])),
            threads=cores(),
            extrapolated_from=len(self.fits),
        )
