"""The other families as estimators, and the selector: thin shims over `fit` and `sweep`."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import cross_val_score

import jaxem
from jaxem import convert
from jaxem.sklearn import (
    BernoulliMixture,
    CategoricalMixture,
    GaussianMixture,
    MixtureSelector,
    PoissonMixture,
)

_rng = np.random.default_rng(0)
LABEL = np.repeat([0, 1], [180, 120])
COUNTS = _rng.poisson(np.array([[2.0, 9.0], [12.0, 1.0]])[LABEL])
BITS = (_rng.random((300, 5)) < np.array([[0.1] * 5, [0.9] * 5])[LABEL]).astype(int)
CODES = np.where(_rng.random((300, 4)) < 0.8, 2 * LABEL[:, None], 1)
PLANE = _rng.normal(size=(300, 2)) + 6 * LABEL[:, None]
CASES = [
    (PoissonMixture, COUNTS, "rates_", (2, 2)),
    (BernoulliMixture, BITS, "probabilities_", (2, 5)),
    (CategoricalMixture, CODES, "probabilities_", (2, 4, 3)),
]


@pytest.mark.parametrize("cls, x, name, shape", CASES)
def test_a_family_as_an_estimator(cls, x, name, shape):
    one = cls(2, n_init=8, random_state=0)
    with pytest.raises(NotFittedError):
        one.predict(x)
    label = one.fit_predict(x)
    assert max((label == LABEL).mean(), (label != LABEL).mean()) > 0.95
    assert getattr(one, name).shape == shape and one.restarts_.status.shape == (8,)
    assert one.converged_ and one.n_features_in_ == x.shape[1]
    np.testing.assert_allclose(one.weights_.sum(), 1)
    np.testing.assert_allclose(one.score(x), one.lower_bound_, rtol=1e-12)
    np.testing.assert_allclose(one.predict_proba(x).sum(axis=1), 1)
    assert one.bic(x) > one.aic(x) > 0
    drawn, which = one.sample(40)
    assert drawn.shape == (40, x.shape[1]) and set(which) == {0, 1}
    back = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(back.score_samples(x), one.score_samples(x))
    model, params = convert.from_sklearn(one)
    np.testing.assert_allclose(model.log_prob(params, x), one.score_samples(x), rtol=1e-10)
    again = clone(one).fit(x)
    np.testing.assert_array_equal(getattr(again, name), getattr(one, name))


def test_each_column_has_the_categories_that_it_shows():
    x = np.c_[CODES[:, 0] // 2, CODES[:, 1], CODES[:, 2:] % 2 + 2]
    one = CategoricalMixture(2, n_init=4, random_state=0).fit(x)
    assert one._model.family.n_categories == (2, 3, 4, 4)
    assert (one.probabilities_[:, 0, 2:] == 0).all()
    said = CategoricalMixture(2, n_categories=[2, 3, 4, 4], n_init=4, random_state=0).fit(x)
    np.testing.assert_array_equal(said.probabilities_, one.probabilities_)
    alike = CategoricalMixture(2, n_categories=4, n_init=4, random_state=0).fit(x)
    assert alike.bic(x) - one.bic(x) == pytest.approx(2 * 3 * np.log(300), abs=1e-2)
    with pytest.raises(ValueError, match="4 columns, but x has 3"):
        clone(said).fit(x[:, :3])
    with pytest.raises(ValueError, match="0 to 1 in column 0"):
        one.predict(x + np.array([2, 0, 0, 0]))


def test_weights_cross_validation_and_bad_input():
    weight = np.arange(300) % 2
    one = PoissonMixture(2, n_init=8, random_state=0)
    weighted = clone(one).fit(COUNTS, sample_weight=weight)
    odd = clone(one).fit(COUNTS[1::2])
    np.testing.assert_allclose(np.sort(weighted.rates_), np.sort(odd.rates_), rtol=1e-4)
    scores = [cross_val_score(clone(one).set_params(n_components=k), COUNTS).mean() for k in (1, 2)]
    assert scores[1] > scores[0]
    with pytest.raises(ValueError, match="whole numbers"):
        one.fit(PLANE)
    with pytest.raises(ValueError, match="n_init"):
        PoissonMixture(2, n_init=0).fit(COUNTS)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        PoissonMixture(2, n_init=8, max_iter=1, random_state=0).fit(COUNTS)


def test_the_selector_picks_and_hands_on():
    selector = MixtureSelector(
        range(1, 4), covariance_type=["full", "spherical"], n_init=8, random_state=0
    )
    assert clone(selector).get_params()["criterion"] == "bic"
    label = selector.fit_predict(PLANE)
    assert max((label == LABEL).mean(), (label != LABEL).mean()) > 0.99
    assert selector.best_params_ == {"n_components": 2, "covariance_type": "spherical"}
    assert len(selector.results_["bic"]) == 6
    assert selector.results_["bic"].argmin() == selector.best_index_
    best = selector.best_estimator_
    assert isinstance(best, GaussianMixture) and best.restarts_.status.shape == (8,)
    np.testing.assert_allclose(best.bic(PLANE), selector.results_["bic"].min(), rtol=1e-9)
    np.testing.assert_allclose(selector.score(PLANE), best.lower_bound_, rtol=1e-9)
    assert best.n_samples_seen_ == 300  # so that partial_fit can go on from here
    assert selector.predict_proba(PLANE).shape == (300, 2)
    assert selector.sample(5)[0].shape == (5, 2)
    back = pickle.loads(pickle.dumps(selector))
    np.testing.assert_array_equal(back.score_samples(PLANE), selector.score_samples(PLANE))
    with pytest.raises(NotFittedError):
        MixtureSelector().predict(PLANE)


PRIORS = {PoissonMixture: jaxem.Gamma(3.0, 2.0), BernoulliMixture: jaxem.Beta(3.0, 2.0)}
PRIORS[CategoricalMixture] = jaxem.Dirichlet(2.0)


@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("cls, x, name, shape", CASES)
def test_batches_of_a_family(cls, x, name, shape, prior):
    order = np.random.default_rng(1).permutation(300)
    x, prior = x[order], PRIORS[cls] if prior else None
    stream = cls(2, n_init=8, random_state=0, prior=prior).partial_fit(x[:100])
    first = getattr(clone(stream).fit(x[:100]), name)
    np.testing.assert_array_equal(getattr(stream, name), first)
    # The statistics of the fit are those of its rows: a batch of next to no weight moves nothing.
    still = pickle.loads(pickle.dumps(stream)).partial_fit(x[:50], sample_weight=np.full(50, 1e-16))
    np.testing.assert_allclose(getattr(still, name), first, atol=1e-8)
    model, here, share = stream._model, stream._params, 2**-0.6
    r = stream.predict_proba(x[100:200])
    bound = stream.score(x[100:200])
    stream.partial_fit(x[100:200])
    count = (1 - share) * here.weights + share * r.mean(axis=0)
    np.testing.assert_allclose(stream.weights_, count, rtol=1e-9)
    np.testing.assert_allclose(stream.lower_bound_, bound, rtol=1e-9)
    # By the M-step of both batches' statistics, the first ones at the fitted parameters.
    resp = np.concatenate([model.predict_proba(here, x[:100]), r])
    weight = np.repeat([1 - share, share], 100)
    sums = model.seed(jaxem.Data(x.astype(float)[:200], 2 * weight), resp)
    np.testing.assert_allclose(getattr(stream, name), getattr(sums, name.rstrip("_")), atol=2e-4)
    stream.partial_fit(x[200:])
    assert stream.n_samples_seen_ == 300 and not stream.converged_
    again = pickle.loads(pickle.dumps(stream)).partial_fit(x[:100])
    np.testing.assert_array_equal(getattr(stream.partial_fit(x[:100]), name), getattr(again, name))
    assert stream.fit(x).n_samples_seen_ == 300 and stream.converged_


def test_batches_that_cannot_be_taken_in_change_nothing():
    one = PoissonMixture(2, n_init=4, random_state=0).fit(COUNTS)
    before = one.rates_
    for bad, weight, match in [
        (COUNTS[:5] - 100, None, "whole numbers"),
        (COUNTS[:5, :1], None, "1 features"),
        (COUNTS[:5], np.zeros(5), "zero"),
    ]:
        with pytest.raises(ValueError, match=match):
            one.partial_fit(bad, sample_weight=weight)
    with pytest.raises(ValueError, match="call fit to begin anew"):
        clone(one).fit(COUNTS).set_params(n_components=3).partial_fit(COUNTS)
    assert one.rates_ is before


def test_what_earlier_batches_did_not_show_is_learnt():
    one = PoissonMixture(1, n_init=1, random_state=0).fit(np.zeros((9, 1)))
    one.partial_fit(np.ones((9, 1)))
    np.testing.assert_allclose(one.rates_, 2**-0.6, rtol=1e-12)
