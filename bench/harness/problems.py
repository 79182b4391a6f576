"""Data to fit, each from a seed."""

import numpy as np

from jaxem import datasets


def overlapping(n: int, d: int, k: int, seed: int = 0, apart: float = 2.0) -> np.ndarray:
    """f32[n, d] from k full-covariance Gaussians whose means are about `apart` deviations from
    one another, whatever d: they overlap, and EM is slow."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) * apart / np.sqrt(2 * d)
    factors = np.eye(d) + rng.normal(size=(k, d, d)) * 0.4 / np.sqrt(d)
    label = rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 10.0)))
    x = means[label] + np.einsum("nij,nj->ni", factors[label], rng.normal(size=(n, d)))
    return x.astype(np.float32)


def with_rare(n: int, d: int, k: int, seed: int = 0, apart: float = 4.0) -> np.ndarray:
    """f32[n, d] from k full-covariance Gaussians as `overlapping` draws them, two of which have
    weight 0.01 and all others the same."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) * apart / np.sqrt(2 * d)
    factors = np.eye(d) + rng.normal(size=(k, d, d)) * 0.4 / np.sqrt(d)
    weights = np.full(k, 0.98 / (k - 2))
    weights[-2:] = 0.01
    label = rng.choice(k, size=n, p=weights)
    x = means[label] + np.einsum("nij,nj->ni", factors[label], rng.normal(size=(n, d)))
    return x.astype(np.float32)


def scattered(n: int, k: int = 15, seed: int = 0) -> np.ndarray:
    """f32[n, 2]: k round clusters of equal size, hardly touching, in the square [0, 1]²; many
    optima, like the set S1 of Fränti and Virmajoki (2006, Pattern Recognition 39, 761)."""
    rng = np.random.default_rng(seed)
    means: list[np.ndarray] = []
    while len(means) < k:
        new = rng.uniform(0.08, 0.92, size=2)
        if all(np.hypot(*(new - old)) > 0.14 for old in means):
            means.append(new)
    label = np.arange(n) % k
    return (np.array(means)[label] + rng.normal(size=(n, 2)) * 0.033).astype(np.float32)


def separate(sets: int, n: int, d: int, k: int, seed: int = 0) -> np.ndarray:
    """f32[sets, n, d]: data sets of k overlapping Gaussians, each with means of its own."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(sets, k, d)) * 2
    scales = rng.uniform(0.5, 1.5, size=(sets, k, d))
    label = rng.integers(k, size=(sets, n))
    rows = np.arange(sets)[:, None]
    noise = rng.normal(size=(sets, n, d))
    return (means[rows, label] + scales[rows, label] * noise).astype(np.float32)


def narrow(n: int, ratio: float, seed: int = 0) -> np.ndarray:
    """f32[n, 2]: two broad clusters and one whose deviation is `ratio` of the whole cloud's."""
    rng = np.random.default_rng(seed)
    means = np.array([[-1.0, 0.0], [1.0, 0.5], [0.3, -1.2]])
    scales = np.array([0.5, 0.5, ratio])
    label = np.arange(n) % 3
    return (means[label] + scales[label][:, None] * rng.normal(size=(n, 2))).astype(np.float32)


def bundled(name: str) -> np.ndarray:
    """f64[n, d] of a data set that ships with jaxem."""
    return datasets.load(name)
