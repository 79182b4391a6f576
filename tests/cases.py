"""The registry: one line per family × model case. Every law of laws/test_laws.py runs over all.

A case is a mixture of three components, true parameters to draw its data from, the same density by
SciPy, and a grid of points with their volumes over which the density must sum to one.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

import jaxem


@dataclass(frozen=True)
class Case:
    """What the laws need to know."""

    model: jaxem.Mixture
    truth: jaxem.MixtureParams
    log_density: Callable[[Any, np.ndarray], np.ndarray]  # (components, x f[n, d]) -> f[n, k]
    grid: Callable[[], tuple[np.ndarray, np.ndarray]]  # -> points f[m, d], volumes f[m]
    far: float  # a value far out, still inside the support
    given: tuple[str, ...] = ()  # parameters that the family does not estimate
    settings: dict[str, Any] = field(default_factory=dict)  # keywords of `em` and `fit`
    plain: bool = True  # no prior, and a mixture without options

    def data(self, n: int, seed: int = 7) -> np.ndarray:
        """The first n of 2000 rows from the true parameters, float64.

        Every case of a kind is drawn by one program: a sample knows no prior and no exponent.
        """
        family = self.model.family
        if getattr(family, "prior", None) is not None:
            family = dataclasses.replace(family, prior=None)
        plain = jaxem.Mixture(family, n_components=3)
        return np.asarray(_draw(plain, jax.random.key(seed), self.truth))[:n]


_draw = jax.jit(lambda model, key, params: model.sample(key, params, 2000)[0])


# Grids ---------------------------------------------------------------------------------------


@functools.cache
def counts(top: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """All points of {0, .., top}^d."""
    points = np.array(list(itertools.product(range(top + 1), repeat=d)), float)
    return points, np.ones(len(points))


@functools.cache
def plane(low: float = -30.0, high: float = 40.0, m: int = 351) -> tuple[np.ndarray, np.ndarray]:
    """A square of the plane; the trapezoid rule is exact to rounding for Gaussians this wide."""
    t = np.linspace(low, high, m)
    points = np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2)
    return points, np.full(len(points), (t[1] - t[0]) ** 2)


@functools.cache
def quadrant(m: int = 401) -> tuple[np.ndarray, np.ndarray]:
    """The positive quadrant under x = exp(t), where the trapezoid rule converges fast."""
    t = np.linspace(-25.0, 9.0, m)
    points = np.exp(np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2))
    return points, points.prod(axis=1) * (t[1] - t[0]) ** 2


# SciPy's densities ---------------------------------------------------------------------------


def _gaussian_density(c, x):
    k, d = c.means.shape
    wide = {
        (k, d, d): lambda v: v,
        (d, d): lambda v: np.stack([v] * k),
        (k, d): lambda v: np.stack([np.diag(row) for row in v]),
        (k,): lambda v: np.stack([np.eye(d) * one for one in v]),
    }[c.covariances.shape](np.asarray(c.covariances))
    pairs = zip(np.asarray(c.means), wide, strict=True)
    return np.stack([scipy.stats.multivariate_normal(m, v).logpdf(x) for m, v in pairs], axis=1)


def _product(log_density):
    """Independent features: `log_density(x f[n, 1, d], p f[1, k, d])` summed over d."""
    return lambda c, x: log_density(x[:, None, :], c).sum(axis=-1)


def _binomial_density(trials):
    return _product(
        lambda x, c: scipy.stats.binom.logpmf(x, trials, np.asarray(c.probabilities)[None])
    )


_poisson_density = _product(lambda x, c: scipy.stats.poisson.logpmf(x, np.asarray(c.rates)[None]))
_exponential_density = _product(
    lambda x, c: scipy.stats.expon.logpdf(x, scale=1 / np.asarray(c.rates)[None])
)


def _categorical_density(c, x):
    p = np.asarray(c.probabilities)
    column, code = np.arange(x.shape[1]), x.astype(int)
    return np.stack([np.log(one[column, code]).sum(axis=1) for one in p], axis=1)


# Constructors: they keep each registry line one line --------------------------------------------

WEIGHTS = (0.2, 0.35, 0.45)
MEANS = jnp.asarray([[0.0, 0.0], [5.0, 1.0], [1.0, 6.0]])
COVARIANCES = {
    "full": jnp.asarray([[[1.0, 0.4], [0.4, 0.8]], [[2.0, -0.9], [-0.9, 1.0]], [[0.5, 0], [0, 3]]]),
    "tied": jnp.asarray([[1.5, 0.6], [0.6, 1.0]]),
    "diag": jnp.asarray([[1.0, 0.6], [2.0, 0.7], [0.5, 3.0]]),
    "spherical": jnp.asarray([0.7, 1.0, 1.6]),
    "known": jnp.asarray([[1.5, 0.6], [0.6, 1.0]]),
}
WISHART = jaxem.NormalInverseWishart(
    jnp.asarray([1.0, 2.0]), 0.3, 5.0, jnp.asarray([[2.0, 0.3], [0.3, 1.0]])
)
GAMMA = jaxem.NormalInverseGamma(jnp.asarray([1.0, 2.0]), 0.3, 5.0, 2.0)


def case(family, components, log_density, grid, far, given=(), weights=WEIGHTS, **options):
    truth = jaxem.MixtureParams(jnp.asarray(weights), components)
    settings = {name: options.pop(name) for name in ("assignment", "exponent") if name in options}
    model = jaxem.Mixture(family, n_components=3, **options)
    plain = not options and not settings and getattr(family, "prior", None) is None
    return Case(model, truth, log_density, grid, far, given, settings, plain)


def gaussian(kind, prior=None, **options):
    given = ("covariances",) if kind == "known" else ()
    settings = {"covariance": COVARIANCES[kind]} if given else {"prior": prior}
    components = jaxem.GaussianParams(MEANS, COVARIANCES[kind])
    family = jaxem.Gaussian(kind, **settings)
    return case(family, components, _gaussian_density, plane, 1e6, given, **options)


def bernoulli(prior=None):
    low, high = 0.1, 0.9
    p = [
        [high, high, high, high, low, 0.2],
        [low] * 4 + [high, 0.8],
        [low, high, low, low, 0.8, low],
    ]
    components = jaxem.BinomialParams(jnp.asarray(p))
    grid = functools.partial(counts, 1, 6)
    return case(jaxem.Bernoulli(prior), components, _binomial_density(1), grid, 1.0)


def binomial(prior=None):
    components = jaxem.BinomialParams(jnp.asarray([[0.9, 0.2], [0.3, 0.7], [0.1, 0.1]]))
    grid = functools.partial(counts, 9, 2)
    return case(jaxem.Binomial(9, prior), components, _binomial_density(9), grid, 9.0)


def poisson(prior=None):
    components = jaxem.PoissonParams(jnp.asarray([[2.0, 9.0], [12.0, 1.0], [20.0, 20.0]]))
    grid = functools.partial(counts, 90, 2)
    return case(jaxem.Poisson(prior), components, _poisson_density, grid, 1e4)


def categorical(prior=None):
    p = np.full((3, 5, 3), 0.08)
    for k, row in enumerate([[0, 0, 0, 0, 0], [1, 1, 1, 1, 2], [2, 2, 1, 2, 0]]):
        p[k, np.arange(5), row] = 0.84
    components, grid = jaxem.CategoricalParams(jnp.asarray(p)), functools.partial(counts, 2, 5)
    return case(jaxem.Categorical(3, prior), components, _categorical_density, grid, 2.0)


def categorical_levels(prior=None):
    """Columns of 2, 4, 3, 2 and 3 categories."""
    levels = (2, 4, 3, 2, 3)
    p = np.zeros((3, 5, 4))
    for k, row in enumerate([[0, 0, 0, 0, 0], [1, 1, 1, 0, 2], [0, 3, 2, 1, 0]]):
        for j, (own, code) in enumerate(zip(levels, row, strict=True)):
            p[k, j, :own] = 0.12 / (own - 1)
            p[k, j, code] = 0.88
    points = np.array(list(itertools.product(*map(range, levels))), float)
    components = jaxem.CategoricalParams(jnp.asarray(p))
    family = jaxem.Categorical(levels, prior)
    grid = lambda: (points, np.ones(len(points)))  # noqa: E731
    return case(family, components, _categorical_density, grid, 1.0)


def exponential(prior=None):
    components = jaxem.ExponentialParams(jnp.asarray([[0.02, 0.05], [1.0, 0.04], [2.0, 3.0]]))
    return case(jaxem.Exponential(prior), components, _exponential_density, quadrant, 1e4)


CASES: dict[str, Case] = {
    "full": gaussian("full"),
    "full-map": gaussian("full", WISHART),
    "full-hard": gaussian("full", assignment="hard"),
    "full-tempered": gaussian("full", exponent=0.9),
    "full-frozen-weights": gaussian("full", frozen=("weights",), weights=(1 / 3, 1 / 3, 1 / 3)),
    "full-weight-prior": gaussian("full", weight_prior=3.0),
    "tied": gaussian("tied"),
    "tied-map": gaussian("tied", WISHART),
    "diag": gaussian("diag"),
    "diag-map": gaussian("diag", GAMMA),
    "spherical": gaussian("spherical"),
    "spherical-map": gaussian("spherical", GAMMA),
    "known": gaussian("known"),
    "bernoulli": bernoulli(),
    "bernoulli-map": bernoulli(jaxem.Beta(3.0, 2.0)),
    "binomial": binomial(),
    "binomial-map": binomial(jaxem.Beta(3.0, 2.0)),
    "poisson": poisson(),
    "poisson-map": poisson(jaxem.Gamma(3.0, 0.5)),
    "categorical": categorical(),
    "categorical-map": categorical(jaxem.Dirichlet(2.0)),
    "categorical-levels": categorical_levels(),
    "categorical-levels-map": categorical_levels(jaxem.Dirichlet(2.0)),
    "exponential": exponential(),
    "exponential-map": exponential(jaxem.Gamma(3.0, 0.5)),
}

#: Cases that only say what the components are: one for each family and kind of covariance. Where a
#: law costs compilations, a prior or another way of assigning rows adds little to these.
KINDS = tuple(name for name, one in CASES.items() if one.plain)
