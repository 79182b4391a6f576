"""What cannot be fitted is refused at the door: the argument, what it was, and what to do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxem

X = np.random.default_rng(0).normal(size=(12, 2))
KEY = jax.random.key(0)
pytestmark = pytest.mark.laws


def _mixture(k=2, family=None, **options):
    return jaxem.Mixture(family or jaxem.Gaussian("full"), n_components=k, **options)


def _fit(x=X, *, k=2, family=None, model=None, **options):
    return jaxem.fit(model or _mixture(k, family), x, **{"key": KEY, "n_starts": 1, **options})


def _with(value, row=3, column=1):
    x = X.copy()
    x[row, column] = value
    return x


def _start(**changes):
    """Parameters of two full-covariance components, some leaves replaced."""
    leaves = {
        "weights": jnp.asarray([0.5, 0.5]),
        "means": jnp.asarray([[0.0, 0.0], [1.0, 1.0]]),
        "covariances": jnp.stack([jnp.eye(2)] * 2),
        **changes,
    }
    weights = leaves.pop("weights")
    return jaxem.MixtureParams(weights, jaxem.GaussianParams(**leaves))


@pytest.mark.parametrize(
    "x, message",
    [
        (np.zeros((0, 2)), r"x is empty: shape \(0, 2\)"),
        (np.zeros((5, 0)), r"x is empty: shape \(5, 0\)"),
        ([], "x is empty"),
        (3.0, r"x must have shape \[n\] or \[n, d\].*\(\)"),
        (np.zeros((4, 3, 2)), r"x must have shape.*\(4, 3, 2\)"),
        (_with(np.nan), r"x has NaN or infinity in 1 of 12 rows, first in row 3, column 1.*impute"),
        (_with(-np.inf), r"x has NaN or infinity.*row 3, column 1 \(-inf\)"),
        ([[1.0, 2.0], [3.0]], "x must be a rectangular array"),
        ([["1", "2"], ["3", "x"]], "x must hold numbers; row 0, column 0 holds '1'"),
        (np.array([[1.0, None], [2.0, 3.0]], object), "x must hold numbers; row 0, column 1.*None"),
        (X.astype(complex), "x must hold real numbers; got dtype complex128"),
        (np.array(["2020-01-01"], "datetime64[D]"), "x must hold real numbers; got dtype datetime"),
    ],
)
def test_data_that_cannot_be_fitted(x, message):
    with pytest.raises(ValueError, match=message):
        _fit(x)


def test_fit_says_that_it_cannot_be_traced():
    with pytest.raises(ValueError, match=r"x is traced.*jaxem\.em"):
        jax.jit(_fit)(X)


@pytest.mark.parametrize(
    "k, message",
    [
        (0, "n_components must be at least 1; got 0"),
        (-3, "n_components must be at least 1; got -3"),
        (13, r"n_components must be at most the number of rows of x \(12\); got 13"),
        (2.5, "n_components must be a whole number; got 2.5"),
        (True, "n_components must be a whole number; got True"),
    ],
)
def test_the_number_of_components(k, message):
    with pytest.raises(ValueError, match=message):
        _fit(k=k)


@pytest.mark.parametrize(
    "weight, message",
    [
        (-np.ones(12), r"sample_weight must be finite and not negative; row 0 is -1\.0"),
        (np.r_[1.0, np.nan, np.ones(10)], "sample_weight must be finite.*row 1 is nan"),
        (np.r_[1.0, np.inf, np.ones(10)], "sample_weight must be finite.*row 1 is inf"),
        (np.zeros(12), "sample_weight is zero for every row"),
        (np.ones(11), r"sample_weight must have shape \(12,\).*got \(11,\)"),
        (np.ones((12, 1)), r"sample_weight must have shape \(12,\).*got \(12, 1\)"),
        (2.0, r"sample_weight must have shape \(12,\).*got \(\)"),
        (["a"] * 12, "sample_weight must hold numbers; row 0 holds 'a'"),
        (np.r_[1.0, np.zeros(11)], r"number of rows of positive weight of x \(1\); got 2"),
    ],
)
def test_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        _fit(sample_weight=weight)


@pytest.mark.parametrize(
    "labels, message",
    [
        (np.zeros(11, int), r"labels must have shape \(12,\).*got \(11,\)"),
        (np.r_[0, 2, np.zeros(10, int)], "labels must be whole numbers from 0 to 1.*row 1 is 2"),
        (np.r_[-2, np.zeros(11, int)], "labels must be.*-1 where.*row 0 is -2"),
        (np.r_[0.5, np.zeros(11)], r"labels must be whole numbers.*row 0 is 0\.5"),
        (np.r_[np.nan, np.zeros(11)], "labels must be.*row 0 is nan"),
        (["a"] * 12, "labels must hold numbers"),
    ],
)
def test_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        _fit(labels=labels)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(n_starts=0), "n_starts must be at least 1; got 0"),
        (dict(n_starts=2.5), "n_starts.*2.5"),
        (dict(max_iter=-1), "max_iter.*-1"),
        (dict(tol=-1.0), "tol.*-1"),
        (dict(tol=np.nan), "tol.*nan"),
        (dict(stop="never"), "stop must be one of.*'never'"),
        (dict(init="never"), "init must be one of.*'never'"),
        (dict(init=np.zeros(5, int)), r"init must be labels \(12,\).*\(5,\)"),
        (dict(init=np.arange(12)), "got labels from 0 to 11"),
        (dict(init=np.full((12, 2), np.nan)), r"got row 0: \[nan nan\]"),
        (dict(init=np.array(["a"] * 12)), r"got shape \(12,\), <U1"),
        (dict(init=np.full(12, 7)), "init must be.*0 to 1"),
        (dict(init=np.full((12, 3), 1 / 3)), r"init must be.*\(12, 3\)"),
        (dict(init=np.full((12, 2), -1.0)), "init must be.*not negative"),
        (dict(init=np.full((12, 2), np.nan)), "init must be.*finite"),
    ],
)
def test_settings(options, message):
    with pytest.raises(ValueError, match=message):
        _fit(**options)


@pytest.mark.parametrize("options", [dict(stop="never")])
def test_em_refuses_an_unknown_rule(options):
    with pytest.raises(ValueError, match="stop must be one of"):
        jaxem.em(_mixture(), _start(), X, **options)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(sample_weight=np.ones(11)), r"sample_weight must have shape \(12,\).*got \(11,\)"),
        (dict(labels=np.ones(11)), r"labels must have shape \(12,\).*got \(11,\)"),
        (dict(x=np.zeros((2, 2, 2))), r"x must have shape.*\(2, 2, 2\)"),
        (dict(x=X.astype(complex)), "x must be real; got dtype complex"),
        (
            dict(x=jaxem.Data(jnp.asarray(X), jnp.ones(12)), sample_weight=np.ones(12)),
            "x is Data, which has its own weight",
        ),
    ],
)
def test_em_refuses_shapes_that_disagree_even_under_jit(arguments, message):
    arguments = {"x": X, **arguments}
    for run in (jaxem.em, jax.jit(jaxem.em)):
        with pytest.raises(ValueError, match=message):
            run(
                _mixture(),
                _start(),
                arguments["x"],
                **{k: v for k, v in arguments.items() if k != "x"},
            )


@pytest.mark.parametrize(
    "changes, what",
    [
        (dict(covariances=jnp.stack([jnp.ones((2, 2)), jnp.eye(2)])), "positive definite"),
        (dict(covariances=jnp.zeros((2, 2, 2))), "positive definite"),
        (dict(covariances=-jnp.stack([jnp.eye(2)] * 2)), "positive definite"),
        (dict(covariances=jnp.full((2, 2, 2), jnp.nan)), "finite"),
        (dict(means=jnp.full((2, 2), jnp.inf)), "finite"),
        (dict(weights=jnp.asarray([0.5, 0.6])), "sum to 1"),
        (dict(weights=jnp.asarray([1.5, -0.5])), "weights"),
        (dict(means=jnp.zeros((3, 2))), r"\(3, 2\)"),
        (dict(covariances=jnp.ones((2, 2))), r"\(2, 2\)"),
    ],
)
def test_a_start_that_is_no_mixture(changes, what):
    with pytest.raises(ValueError, match=f"init.*{what}"):
        _fit(init=_start(**changes))


COUNTS = np.arange(12.0).reshape(6, 2) % 5


@pytest.mark.parametrize(
    "family, value, support",
    [
        (jaxem.Poisson(), -1.0, "counts"),
        (jaxem.Poisson(), 0.5, "whole numbers"),
        (jaxem.Binomial(9), 10.0, "0 to 9"),
        (jaxem.Binomial(9), -1.0, "0 to 9"),
        (jaxem.Binomial(9), 2.5, "whole numbers"),
        (jaxem.Bernoulli(), 2.0, "0 to 1"),
        (jaxem.Categorical(5), 5.0, "0 to 4"),
        (jaxem.Categorical(5), 1.5, "codes"),
        (jaxem.Categorical((5, 3)), 3.0, "0 to 2 in column 1"),
        (jaxem.Exponential(), -0.1, "negative"),
    ],
)
def test_values_outside_the_support(family, value, support):
    x = COUNTS % 2
    x[4, 1] = value
    with pytest.raises(ValueError, match=rf"x must .*{support}.*row 4"):
        _fit(x, family=family)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: jaxem.Gaussian("fulll"), "covariance_type must be one of.*'fulll'"),
        (lambda: _fit(assignment="firm"), "assignment must be.*'firm'"),
        (lambda: _fit(model=_mixture(frozen=("mean",))), "frozen.*'mean'"),
        (lambda: _fit(exponent=0.0), "exponent.*0"),
        (lambda: _fit(model=_mixture(weight_prior=0.0)), "weight_prior.*0"),
        (lambda: _fit(family=jaxem.Gaussian("full", reg_covar=-1.0)), "reg_covar.*-1"),
        (lambda: _fit(family=jaxem.Gaussian("known", covariance=np.eye(3))), r"\(2, 2\).*\(3, 3\)"),
        (
            lambda: _fit(family=jaxem.Gaussian("known", covariance=np.ones((2, 2)))),
            "covariance.*positive definite",
        ),
        (lambda: _fit(COUNTS, family=jaxem.Binomial(0)), "n_trials.*0"),
        (lambda: _fit(COUNTS, family=jaxem.Binomial(4.5)), r"n_trials.*4\.5"),
        (lambda: _fit(COUNTS, family=jaxem.Categorical(0)), "n_categories.*0"),
        (lambda: _fit(COUNTS % 2, family=jaxem.Categorical((2, 0))), "n_categories.*0"),
        (lambda: _fit(COUNTS % 2, family=jaxem.Categorical((2, 2.5))), r"n_categories.*2\.5"),
        (lambda: _fit(COUNTS % 2, family=jaxem.Categorical((2, 3, 2))), "3 columns, but x has 2"),
        (lambda: _fit(COUNTS, family=jaxem.Poisson(jaxem.Gamma(-1.0, 1.0))), "shape.*-1"),
        (lambda: _fit(COUNTS % 2, family=jaxem.Bernoulli(jaxem.Beta(0.0, 1.0))), "a.*0"),
        (
            lambda: _fit(
                family=jaxem.Gaussian(
                    "full", prior=jaxem.NormalInverseWishart(np.zeros(3), 0.1, 5.0, np.eye(3))
                )
            ),
            "prior.*mean",
        ),
    ],
)
def test_models_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_lists_integers_booleans_and_one_column_are_welcome():
    rows = [0, 1, 0, 7, 8, 9, 7, 1]
    for x in (rows, [[r] for r in rows], np.array(rows, np.int8), np.array(rows, object)):
        fit = _fit(x, family=jaxem.Gaussian("spherical")).best()
        assert fit.params.means.shape == (2, 1) and fit.params.means.dtype == np.float64
    flags = np.array(rows) > 4
    assert _fit(flags, family=jaxem.Bernoulli()).best().params.probabilities.shape == (2, 1)


def test_nothing_in_a_model_can_be_assigned():
    with pytest.raises(dataclasses.FrozenInstanceError):
        _mixture().n_components = 3
