"""One line per case: a model of two components, and parameters to sample its data from."""

import jax.numpy as jnp

import jaxem

CASES = {
    "bernoulli": (jaxem.Bernoulli(), jaxem.BinomialParams(jnp.asarray([[0.9, 0.2], [0.1, 0.7]]))),
    "binomial": (jaxem.Binomial(9), jaxem.BinomialParams(jnp.asarray([[0.9, 0.2], [0.3, 0.7]]))),
    "poisson": (jaxem.Poisson(), jaxem.PoissonParams(jnp.asarray([[2.0, 9.0], [12.0, 1.0]]))),
    "exponential": (
        jaxem.Exponential(),
        jaxem.ExponentialParams(jnp.asarray([[0.1, 0.2, 0.1], [5.0, 9.0, 4.0]])),
    ),
    "categorical": (
        jaxem.Categorical(3),
        jaxem.CategoricalParams(
            jnp.asarray([[[0.8, 0.1, 0.1]] * 4, [[0.1, 0.2, 0.7]] * 4]),
        ),
    ),
    "poisson-map": (
        jaxem.Poisson(jaxem.Gamma(3.0, 0.5)),
        jaxem.PoissonParams(jnp.asarray([[2.0, 9.0], [12.0, 1.0]])),
    ),
    "categorical-map": (
        jaxem.Categorical(3, jaxem.Dirichlet(2.0)),
        jaxem.CategoricalParams(jnp.asarray([[[0.8, 0.1, 0.1]] * 4, [[0.1, 0.2, 0.7]] * 4])),
    ),
    "exponential-map": (
        jaxem.Exponential(jaxem.Gamma(3.0, 0.5)),
        jaxem.ExponentialParams(jnp.asarray([[0.1, 0.2, 0.1], [5.0, 9.0, 4.0]])),
    ),
    "full": (
        jaxem.Gaussian("full"),
        jaxem.GaussianParams(jnp.asarray([[0.0, 0.0], [3.0, 4.0]]), jnp.stack([jnp.eye(2)] * 2)),
    ),
    "tied": (
        jaxem.Gaussian("tied"),
        jaxem.GaussianParams(jnp.asarray([[0.0, 0.0], [3.0, 4.0]]), jnp.eye(2)),
    ),
    "diag": (
        jaxem.Gaussian("diag"),
        jaxem.GaussianParams(jnp.asarray([[0.0, 0.0], [3.0, 4.0]]), jnp.ones((2, 2))),
    ),
    "spherical": (
        jaxem.Gaussian("spherical"),
        jaxem.GaussianParams(jnp.asarray([[0.0, 0.0], [3.0, 4.0]]), jnp.ones(2)),
    ),
    "known": (
        jaxem.Gaussian("known", covariance=jnp.eye(2)),
        jaxem.GaussianParams(jnp.asarray([[0.0, 0.0], [3.0, 4.0]]), jnp.eye(2)),
    ),
}
