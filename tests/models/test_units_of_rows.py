"""Units of several rows: x f[n, t, d], which the engine never looks into, cuts or reshapes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from own_models import TwoKindsOfPersons

import jaxem
from jaxem import Status

KEY = jax.random.key(0)
KIND = np.random.default_rng(0).integers(0, 2, 50)
X = np.random.default_rng(1).normal(
    np.array([[-1.0, 0.0], [1.0, 0.5]])[KIND][:, None], 1, (50, 4, 2)
)
MODEL = TwoKindsOfPersons()


def fit(x=X, **options):
    return jaxem.fit(MODEL, x, **(dict(key=KEY, n_starts=5, tol=1e-11, max_iter=2000) | options))


def test_the_likelihood_is_that_of_a_mixture_of_all_rows_of_a_person():
    """Four rows of two columns with common parameters are one row of eight columns, with tied unit
    covariances: a mixture that the package has, started at the same parameters."""
    best = fit().best()
    tied = jaxem.Mixture(jaxem.Gaussian("known", covariance=np.eye(8)), n_components=2)
    blank = tied.blank(8, np.float64)
    wide = jax.tree.map(np.asarray, blank)
    wide = type(blank)(
        weights=best.params.share,
        components=type(blank.components)(
            **{**vars(wide.components), "means": np.tile(best.params.means, 4)}
        ),
    )
    density = tied.log_prob(wide, X.reshape(50, 8))
    np.testing.assert_allclose(best.log_likelihood, np.sum(density), rtol=1e-12)


def test_every_door_reaches_one_optimum():
    fits = fit()
    assert (fits.status == Status.CONVERGED).all() and fits.optima().best_count == 5
    best = fits.best()
    start = jax.tree.map(lambda leaf: leaf[0], fit(max_iter=0).params)
    one = jaxem.em(MODEL, start, X, tol=1e-11, max_iter=2000)
    np.testing.assert_allclose(one.log_likelihood, best.log_likelihood, rtol=1e-12)
    ragged = [X, X[:30], np.repeat(X, 2, axis=0)]
    many = jaxem.fit_many(MODEL, ragged, key=KEY, n_starts=8, tol=1e-11, max_iter=2000)
    want = [fit(x).best().log_likelihood for x in ragged]
    np.testing.assert_allclose(many.best().log_likelihood, want, rtol=1e-9)
    stacked = jaxem.fit_many(MODEL, np.stack([X, X[::-1]]), key=KEY, n_starts=2, tol=1e-11)
    np.testing.assert_allclose(stacked.best().log_likelihood, best.log_likelihood, rtol=1e-7)


def test_a_weight_counts_persons():
    weight = np.arange(50.0) % 3
    repeated = np.repeat(X, weight.astype(int), axis=0)
    np.testing.assert_allclose(
        fit(sample_weight=weight).best().log_likelihood, fit(repeated).best().log_likelihood,
        rtol=1e-10,
    )  # fmt: skip


def test_persons_are_not_cut_by_devices():
    spread = jaxem.shard_rows(X)
    np.testing.assert_allclose(
        fit(spread).best().log_likelihood, fit().best().log_likelihood, rtol=1e-10
    )


def test_the_race_float32_and_errors():
    raced = fit(X.astype(np.float32), n_starts=80, race=True)
    np.testing.assert_allclose(raced.best().log_likelihood, fit().best().log_likelihood, rtol=1e-6)
    best = fit().best()
    errors = best.standard_errors(X)
    free = lambda t: type(best.params)(jnp.stack([t[0], 1 - t[0]]), t[1:].reshape(2, 2))  # noqa: E731
    at = jnp.concatenate([best.params.share[:1], best.params.means.ravel()])
    hessian = jax.hessian(lambda t: jnp.sum(MODEL.log_prob(free(t), jnp.asarray(X))))(at)
    want = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    got = np.concatenate([errors.share[:1], errors.means.ravel()])
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert best.sample(1, 7)[0].shape == (7, 3, 2)


def test_a_mixture_says_that_its_units_are_rows():
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    start = jaxem.fit(model, X[:, 0], key=KEY, n_starts=1, max_iter=0)[0].params
    doors = [
        lambda: jaxem.fit(model, X, key=KEY),
        lambda: jaxem.fit_many(model, [X, X], key=KEY),
        lambda: jaxem.em(model, start, X),
        lambda: model.predict(start, X),
    ]
    for door in doors:
        with pytest.raises(
            ValueError, match=r"must have shape \[n\] or \[n, d\].*\(50, 4, 2\)|4, 2"
        ):
            door()
