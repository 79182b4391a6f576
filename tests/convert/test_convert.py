"""Mixtures of other libraries and ours: the same densities both ways."""

import jax
import numpy as np
import pytest

pytest.importorskip("sklearn")

import sklearn.mixture
from cases import CASES
from sklearn.exceptions import NotFittedError

import jaxem
from jaxem import convert
from jaxem.sklearn import GaussianMixture, MixtureSelector

TYPES = ["full", "tied", "diag", "spherical"]
GAUSSIANS = [*TYPES, "known"]
X = CASES["full"].data(200)
FAR = X + np.array([30.0, 0])
pytestmark = pytest.mark.filterwarnings("default:.*SCIPY_ARRAY_API.*")


def same(got, want):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_from_scikit_learn_and_back(covariance_type):
    peer = sklearn.mixture.GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    peer.fit(FAR)
    model, params = convert.from_sklearn(peer)
    same(model.log_prob(params, FAR), peer.score_samples(FAR))
    again = convert.to_sklearn(model, params)
    assert type(again) is sklearn.mixture.GaussianMixture
    assert again.get_params()["reg_covar"] == peer.reg_covar
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        np.testing.assert_allclose(getattr(again, name), getattr(peer, name), atol=1e-12)
    same(again.score(FAR), peer.score(FAR))


@pytest.mark.parametrize("kind", GAUSSIANS)
def test_what_scikit_learn_can_do_with_ours(kind):
    case = CASES[kind]
    peer = convert.to_sklearn(case.model, case.truth)
    same(peer.score_samples(X), case.model.log_prob(case.truth, X))
    same(peer.predict_proba(X), case.model.predict_proba(case.truth, X))
    x, label = peer.sample(3000)
    np.testing.assert_allclose(np.bincount(label) / 3000, case.truth.weights, atol=0.04)
    np.testing.assert_allclose(x.mean(0), case.truth.weights @ case.truth.means, atol=0.3)
    goes_on = peer.set_params(warm_start=True, max_iter=200, tol=1e-4).fit(X)
    assert goes_on.converged_ and goes_on.score(X) >= float(
        case.model.log_prob(case.truth, X).mean()
    )


def test_our_estimators_and_fits():
    ours = GaussianMixture(3, random_state=0).fit(X.astype(np.float32))
    model, params = convert.from_sklearn(ours)
    assert params.means.dtype == np.float64
    same(model.log_prob(params, X), ours.score_samples(X))
    level = model.log_prob(params, X).sum()
    fit = jaxem.Fit(params, level, level, jaxem.Status.CONVERGED, 7)
    peer = convert.to_sklearn(model, fit)
    assert (peer.n_iter_, peer.converged_) == (7, True)
    same(peer.score_samples(X), ours.score_samples(X))
    selector = MixtureSelector()
    selector.best_estimator_ = ours
    same(convert.from_sklearn(selector)[1].means, ours.means_)


def test_what_cannot_be_converted():
    with pytest.raises(TypeError, match="got BayesianGaussianMixture"):
        convert.from_sklearn(sklearn.mixture.BayesianGaussianMixture().fit(X))
    with pytest.raises(NotFittedError):
        convert.from_sklearn(sklearn.mixture.GaussianMixture(2))
    case = CASES["poisson"]
    with pytest.raises(ValueError, match="mixture of Gaussians; got one of Poisson"):
        convert.to_sklearn(case.model, case.truth)
    case = CASES["full"]
    lanes = jaxem.MixtureParams(case.truth.weights[None], case.truth.components)
    with pytest.raises(ValueError, match=r"weights of shape \(1, 3\)"):
        convert.to_sklearn(case.model, lanes)
    flat = jaxem.GaussianParams(case.truth.means, 0 * case.truth.covariances)
    with pytest.raises(ValueError, match="singleton or collapsed"):
        convert.to_sklearn(case.model, jaxem.MixtureParams(case.truth.weights, flat))


@pytest.mark.parametrize("name", [*GAUSSIANS, "poisson", "exponential", "bernoulli"])
def test_to_numpyro_and_back(name):
    pytest.importorskip("numpyro")
    case = CASES[name]
    x, mixture = case.data(50), convert.to_numpyro(case.model, case.truth)
    want = case.model.log_prob(case.truth, x)
    with jax.numpy_rank_promotion("allow"):
        same(mixture.log_prob(x), want)
    model, params = convert.from_numpyro(mixture)
    same(model.log_prob(params, x), want)


def test_what_numpyro_has_no_mixture_of():
    dist = pytest.importorskip("numpyro.distributions")
    for name in ("binomial", "categorical"):
        with pytest.raises(ValueError, match="support does not depend"):
            convert.to_numpyro(CASES[name].model, CASES[name].truth)
    mixed = dist.Categorical(probs=np.full(2, 0.5))
    with pytest.raises(ValueError, match="knows no family"):
        normals = dist.MixtureSameFamily(mixed, dist.Normal(np.zeros(2), 1.0))
        convert.from_numpyro(normals)
    with pytest.raises(ValueError, match="takes one MixtureSameFamily"):
        convert.from_numpyro(mixed)


@pytest.mark.parametrize("name", GAUSSIANS)
def test_to_tensorflow_probability(name):
    pytest.importorskip("tensorflow_probability.substrates.jax")
    case = CASES[name]
    want = case.model.log_prob(case.truth, X)
    with jax.numpy_rank_promotion("allow"):
        mixture = convert.to_tfp(case.model, case.truth)
        same(mixture.log_prob(X), want)
        model, params = convert.from_tfp(mixture)
        same(model.log_prob(params, X), want)
        with pytest.raises(ValueError, match="takes one MixtureSameFamily"):
            convert.from_tfp(mixture.components_distribution)


@pytest.mark.parametrize(
    ("module", "convert_", "says"),
    [
        (None, convert.to_numpyro, "pip install numpyro"),
        (None, convert.to_tfp, "pip install tensorflow-probability"),
        (
            AttributeError("no 'xla'"),
            convert.to_tfp,
            "does not go with jax .*no 'xla'.*tfp-nightly",
        ),
    ],
)
def test_a_library_that_is_missing_or_too_old_says_what_to_install(
    monkeypatch, module, convert_, says
):
    def absent(name):
        raise module or ModuleNotFoundError(name)

    monkeypatch.setattr(convert, "import_module", absent)
    with pytest.raises(ImportError, match=says):
        convert_(CASES["full"].model, CASES["full"].truth)
