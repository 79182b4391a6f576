"""What a covariance structure provides: one more is a class that says how scatter is shared."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import clouds

import jaxem
from jaxem.core.capabilities import provides
from jaxem.core.constraints import Constraint, Positive, SymmetricPD
from jaxem.core.protocols import check_family
from jaxem.core.trees import pytree
from jaxem.families import gaussian
from jaxem.families.gaussian import GaussianFamily, matrices, variances
from jaxem.families.gaussian.moments import Moments, OneVariance, OwnMatrix
from jaxem.families.gaussian.structure import Covariance, Form

X = clouds(200, gap=3.0)


@pytree
class EqualVariance:
    """mclust EII: one variance for all components."""

    name: ClassVar[str] = "EII"
    scale_kind: ClassVar[str] = "scalar"
    form: ClassVar[Form] = variances
    constraint: ClassVar[Constraint] = Positive()
    moments: ClassVar[Moments] = OneVariance()

    def shape(self, k, d):
        return (k,)

    def update(self, sums, old):
        scatter = self.moments.scatter(sums)
        return jnp.full_like(old, jnp.sum(scatter.total) / jnp.sum(scatter.count))

    def n_free(self, k, d):
        return 1

    def min_rows(self, d):
        return 0


@pytree
class EqualMatrix(EqualVariance):
    """mclust EEE, of a matrix for each component: the features of full covariances."""

    scale_kind: ClassVar[str] = "feature"
    form: ClassVar[Form] = matrices
    constraint: ClassVar[Constraint] = SymmetricPD()
    moments: ClassVar[Moments] = OwnMatrix()

    def shape(self, k, d):
        return (k, d, d)

    def update(self, sums, old):
        scatter = self.moments.scatter(sums)
        pooled = jnp.sum(scatter.total, axis=0) / jnp.sum(scatter.count)
        return jnp.broadcast_to(pooled[None], old.shape)

    def n_free(self, k, d):
        return d * (d + 1) // 2


def fitted(family):
    model, plain = (jaxem.Mixture(one, n_components=3) for one in (family, jaxem.Gaussian("diag")))
    resp = plain.predict_proba(plain.init(0, X), X)
    return model, jaxem.em(model, model.seed(X, resp), X, tol=1e-12, max_iter=2000)


@pytest.mark.parametrize("structure", [*gaussian._TYPES.values(), EqualVariance, EqualMatrix])
def test_a_structure_provides_all_of_it(structure):
    assert provides(structure, Covariance)
    check_family(GaussianFamily)


def test_one_variance_is_the_mean_square_about_the_means():
    model, run = fitted(GaussianFamily(EqualVariance()))
    assert model.n_parameters(2) == 2 + 6 + 1
    own, resp = run.params, np.asarray(model.predict_proba(run.params, X))
    gaps = np.sum((X[:, None] - np.asarray(own.means)[None]) ** 2, axis=-1)
    np.testing.assert_allclose(own.covariances, np.sum(resp * gaps) / X.size, rtol=1e-6)
    assert run.log_likelihood <= fitted(jaxem.Gaussian("spherical"))[1].log_likelihood


def test_one_matrix_for_each_component_that_is_the_same_is_a_tied_one():
    own, one = fitted(GaussianFamily(EqualMatrix()))
    tied, other = fitted(jaxem.Gaussian("tied"))
    assert own.n_parameters(2) == tied.n_parameters(2)
    np.testing.assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(one.params.means, other.params.means, rtol=1e-5, atol=1e-6)
    want = np.broadcast_to(other.params.covariances, (3, 2, 2))
    np.testing.assert_allclose(one.params.covariances, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_a_component_without_rows_keeps_its_parameters_whatever_reg_covar_is(kind):
    model = jaxem.Mixture(jaxem.Gaussian(kind, reg_covar=0.1), n_components=4)
    data = jaxem.Data(jnp.asarray(X), jnp.ones(len(X)))
    params = model.start(jax.random.key(0), data, "k-means++", 3)  # the fourth is off
    prepared = model.prepare(data)
    for _ in range(3):
        before = params.take(np.array([3]), ()).components
        params = model.m_step(model.expect(params, prepared, jnp.zeros(()))[0], params)
        after = params.take(np.array([3]), ()).components
        for old, new in zip(*map(jax.tree.leaves, (before, after)), strict=True):
            np.testing.assert_array_equal(old, new)


def test_components_that_are_off_do_not_change_the_path_of_an_accelerator():
    model = jaxem.Mixture(jaxem.Gaussian("full", reg_covar=0.1), n_components=3)
    options = dict(key=0, n_starts=6, tol=1e-9, accelerate="squarem", race=False, max_iter=30)
    plain, padded = (jaxem.fit(model, X, **options, **more) for more in ({}, {"pad_to": 5}))
    np.testing.assert_array_equal(plain.n_iter, padded.n_iter)
    np.testing.assert_allclose(plain.log_likelihood, padded.log_likelihood, rtol=1e-10)
