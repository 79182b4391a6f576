"""Data, models and forced plans that the tests of the batch engine share: few shapes compile."""

import dataclasses

import numpy as np

import jaxem
from jaxem import budget


def clouds(n=300, seed=0, gap=4.0):
    """Three round clouds in the plane, `gap` standard deviations apart."""
    rng = np.random.default_rng(seed)
    means = gap * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.9]])
    return means[rng.integers(3, size=n)] + rng.normal(size=(n, 2))


def mixture(kind="full", k=3, **options):
    """A Gaussian mixture."""
    return jaxem.Mixture(jaxem.Gaussian(kind, **options), n_components=k)


def force_plan(monkeypatch, **sizes):
    """Every call from here on runs with these sizes, whatever the budget would have chosen."""
    chosen = {"bucket": 16, "rows": 128, "at_once": 4, "smallest": 16, "stride": 8, "lines": 1}
    chosen |= sizes
    real = budget.plan
    monkeypatch.setattr(
        budget, "plan", lambda *args, **kw: dataclasses.replace(real(*args, **kw), **chosen)
    )
