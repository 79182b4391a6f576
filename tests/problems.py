"""Data, models and forced plans that the tests of the batch engine share: few shapes compile."""

import contextlib
import dataclasses

import jax
import numpy as np

import jaxem
from jaxem.batch import planning


def clouds(n=300, seed=0, gap=4.0):
    """Three round clouds in the plane, `gap` standard deviations apart."""
    rng = np.random.default_rng(seed)
    means = gap * np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 0.9]])
    return means[rng.integers(3, size=n)] + rng.normal(size=(n, 2))


def mixture(kind="full", k=3, **options):
    """A Gaussian mixture."""
    return jaxem.Mixture(jaxem.Gaussian(kind, **options), n_components=k)


def platform_of(name):
    """Where programs are traced and lowered for a platform that is not there: JAX 0.11 asks which
    GPU it is."""
    if name != "cuda" or not hasattr(jax.sharding, "AbstractDevice"):
        return contextlib.nullcontext()
    device = jax.sharding.AbstractDevice("NVIDIA H200", num_cores=None, platform="gpu")
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=device)
    return jax.sharding.use_abstract_mesh(mesh)


def force_plan(monkeypatch, **sizes):
    """Every call from here on runs with these sizes, whatever the budget would have chosen."""
    chosen = {"bucket": 16, "rows": 128, "at_once": 4, "smallest": 16, "stride": 8, "threads": 1}
    chosen |= sizes
    real = planning.plan_batch
    monkeypatch.setattr(
        planning, "plan_batch", lambda *args, **kw: dataclasses.replace(real(*args, **kw), **chosen)
    )
