"""Criteria against scikit-learn and by hand; sweeps, held-out likelihood and their tables."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from cases import CASES
from own_models import NormalMean
from problems import clouds, mixture
from sklearn.mixture import GaussianMixture

import jaxem
from jaxem import Criteria, Status, datasets
from jaxem.api.many_models import cross_validate

KEY = jax.random.key(6)
X = clouds()
FAITHFUL = datasets.load("old_faithful")
TYPES = ("full", "tied", "diag", "spherical")


def sweep(n_components=(1, 3), types="full", x=X, n_starts=4, **options):
    return jaxem.sweep(x, n_components, types, key=KEY, n_starts=n_starts, **options)


@pytest.fixture(scope="module")
def swept():
    return sweep((1, 2, 3, 4), ("full", "tied"))


# Criteria -------------------------------------------------------------------------------------


def in_scikit_learn(params, kind):
    """A scikit-learn mixture with these parameters."""
    peer = GaussianMixture(3, covariance_type=kind)
    peer.weights_, peer.means_ = np.array(params.weights), np.array(params.means)
    peer.covariances_ = np.array(params.covariances)
    inverse = {
        "full": lambda c: np.linalg.cholesky(np.linalg.inv(c)),
        "tied": lambda c: np.linalg.cholesky(np.linalg.inv(c)),
        "diag": lambda c: 1 / np.sqrt(c),
        "spherical": lambda c: 1 / np.sqrt(c),
    }[kind]
    peer.precisions_cholesky_ = inverse(peer.covariances_)
    return peer


@pytest.mark.parametrize("kind", TYPES)
def test_bic_and_aic_are_those_of_scikit_learn(kind):
    row = sweep((3,), kind)[3, kind]
    peer = in_scikit_learn(row.fits.best().params, kind)
    assert row.criteria.bic == pytest.approx(peer.bic(X), rel=1e-10)
    assert row.criteria.aic == pytest.approx(peer.aic(X), rel=1e-10)
    assert row.criteria.n_parameters == peer._n_parameters()
    assert row.criteria.log_likelihood == pytest.approx(peer.score(X) * len(X), rel=1e-10)


def test_icl_by_hand():
    model, x = mixture(k=2), X[:, :1]
    components = jaxem.GaussianParams(jnp.array([[0.0], [4.0]]), jnp.array([[[1.0]], [[2.0]]]))
    params = jaxem.MixtureParams(jnp.array([0.3, 0.7]), components)
    weight = np.linspace(0, 2, len(x))
    joint = np.c_[
        0.3 * scipy.stats.norm.pdf(x[:, 0], 0, 1), 0.7 * scipy.stats.norm.pdf(x[:, 0], 4, 2**0.5)
    ]
    total = joint.sum(axis=1)
    likelihood = weight @ np.log(total)
    entropy = -weight @ scipy.special.xlogy(joint / total[:, None], joint / total[:, None]).sum(1)
    fit = jaxem.Fit(params, likelihood, likelihood, Status.CONVERGED, 0)
    got = jaxem.criteria(model, fit, x, weight)
    bic = 5 * math.log(weight.sum()) - 2 * likelihood
    own = joint[np.arange(len(x)), joint.argmax(axis=1)]  # with the component assigned to each row
    icl = 5 * math.log(weight.sum()) - 2 * weight @ np.log(own)
    want = Criteria(likelihood, 5, bic, 10 - 2 * likelihood, icl, bic + 2 * entropy)
    for name, value in vars(want).items():
        assert getattr(got, name) == pytest.approx(value, rel=1e-12), name
    assert got.icl_entropy > got.icl > got.bic + 1
    # One dimension may also come as a vector.
    assert jaxem.criteria(model, fit, x[:, 0], weight) == got


def test_icl_is_that_of_mclust():
    """Mclust(faithful), three components of one covariance (EEE), prints these parameters, BIC
    -2314.316 and ICL -2357.824, the criteria of one E-step before them."""
    means = jnp.array([[3.793066, 77.521051], [2.037596, 54.491158], [4.463245, 80.833439]])
    covariance = jnp.array([[0.07825448, 0.4801979], [0.4801979, 33.7671464]])
    weights = jnp.array([0.1656784, 0.3563696, 0.4779520])
    params = jaxem.MixtureParams(weights, jaxem.GaussianParams(means, covariance))
    model = mixture("tied")
    likelihood = float(jnp.sum(model.log_prob(params, FAITHFUL)))
    fit = jaxem.Fit(params, likelihood, likelihood, Status.MAX_ITER, 0)
    found = jaxem.criteria(model, fit, FAITHFUL)
    assert found.bic == pytest.approx(2314.316, abs=0.01)
    assert found.icl == pytest.approx(2357.824, abs=0.1)
    assert found.icl_entropy == pytest.approx(2399.0, abs=0.1)


def test_both_forms_of_icl_in_a_sweep():
    """At the optimum, to which mclust had not come all the way: between two of its components are
    many rows, and ICL moves by half a point with the last hundredth of likelihood."""
    swept = sweep((3,), "EEE", FAITHFUL, 32, criterion="icl_entropy", tol=1e-11)
    found = swept.best.criteria
    assert found.log_likelihood == pytest.approx(-1126.3159, abs=1e-4)
    assert found.icl == pytest.approx(2358.389, abs=2e-3)
    assert found.icl_entropy == pytest.approx(2399.781, abs=4e-3)
    assert swept.table()[0]["icl_entropy"] == found.icl_entropy
    # A column of its own where it decides.
    assert "ICL (entropy)" in repr(swept) and f"{found.icl_entropy:.3f}" in repr(swept)
    assert f"{found.icl_entropy:.3f}" in swept._repr_html_()


def test_a_criterion_that_is_not_known_never_wins(swept):
    known = swept[1, "full"]
    rows = [dataclasses.replace(row, criteria=Criteria(*[1.0] * 5)) for row in swept.rows[1:3]]
    unknown = dataclasses.replace(known, criteria=Criteria(1.0, 1, 1.0, 1.0, math.nan))
    assert jaxem.Sweep((*rows, known), "icl_entropy", swept.report).best is known
    assert jaxem.Sweep((unknown, known), "icl", swept.report).best is known


def test_frozen_parameters_are_not_counted():
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3, frozen=("weights",))
    fit = jaxem.fit(model, X, key=KEY, n_starts=2).best()
    assert jaxem.criteria(model, fit, X).n_parameters == 15


# The sweep ------------------------------------------------------------------------------------


def test_rows_are_fits(swept):
    assert [(row.n_components, row.covariance_type) for row in swept.rows] == [
        (k, kind) for kind in ("full", "tied") for k in (1, 2, 3, 4)
    ]
    for row in swept.rows:
        assert row.fits.status.shape == (4,)
        assert row.criteria == jaxem.criteria(row.model, row.fits.best(), X)
        assert row.held_out is None
        assert 1 <= row.best_count <= 4
    ends = [swept[k, "full"].criteria.log_likelihood for k in (1, 2, 3)]
    assert ends == sorted(ends)
    assert swept.report.needed == sum(row.fits.report.needed for row in swept.rows)
    with pytest.raises(KeyError, match="no model"):
        swept[9, "full"]


def test_best_is_the_lowest_criterion(swept):
    assert swept.criterion == "bic"
    assert swept.best.n_components == 3
    assert swept.best.criteria.bic == min(row.criteria.bic for row in swept.rows)
    for name in ("aic", "icl", "icl_entropy"):
        other = jaxem.Sweep(swept.rows, name, swept.report)
        low = min(getattr(row.criteria, name) for row in swept.rows)
        assert getattr(other.best.criteria, name) == low


def test_table_and_repr(swept):
    table = swept.table()
    assert len(table) == 8
    assert table[2]["n_components"] == 3
    assert table[2]["bic"] == swept[3, "full"].criteria.bic
    assert table[2]["n_starts"] == 4
    assert "CONVERGED" in table[2]["statuses"]
    lines = repr(swept).splitlines()
    assert len(lines) == 9
    assert "BIC" in lines[0] and "ICL" in lines[0]
    assert f"{swept[3, 'full'].criteria.bic:.3f}" in lines[3]


def test_a_model_of_which_no_start_is_sound_has_no_score():
    x = np.r_[np.zeros((150, 2)), np.ones((150, 2)), X[:1]]
    fails = sweep((1, 3), x=x)
    assert fails[1, "full"].criteria is not None
    row = fails[3, "full"]
    assert row.criteria is None and not row.fits.sound.any()
    assert fails.best.n_components == 1
    assert fails.table()[1]["bic"] is None
    assert "no sound fit" in repr(fails).splitlines()[2]
    with pytest.raises(ValueError, match="No model of this sweep has a sound fit"):
        jaxem.Sweep((row,), "bic", fails.report).best  # noqa: B018


def test_options_reach_every_fit():
    raced = sweep((3,), n_starts=12, race=True, max_iter=2, tol=0.0)
    assert (raced[3, "full"].fits.status == Status.MAX_ITER).all()


def test_other_families():
    case = CASES["poisson"]
    x = case.data(300)

    def models(k, kind):
        return jaxem.Mixture(jaxem.Poisson(), n_components=k)

    swept = sweep((1, 3), "poisson", x=x, models=models, folds=2, criterion="held_out")
    row = swept[3, "poisson"]
    assert swept.best is row
    density = case.log_density(row.fits.best().params.components, x)
    likelihood = scipy.special.logsumexp(density, axis=1, b=row.fits.best().params.weights).sum()
    assert row.criteria.log_likelihood == pytest.approx(likelihood, rel=1e-10)
    assert row.criteria.n_parameters == 8


# Held out -------------------------------------------------------------------------------------


def test_a_weight_of_zero_is_a_row_left_out():
    keep = np.arange(300) % 3 > 0
    options = dict(key=KEY, n_starts=1, init=CASES["full"].truth)
    model, x = mixture(), CASES["full"].data(300)
    weighted = jaxem.fit(model, x, sample_weight=keep, **options)
    subset = jaxem.fit(model, x[keep], **options)
    np.testing.assert_allclose(weighted.objective, subset.objective, rtol=1e-10)
    np.testing.assert_allclose(weighted.params.means, subset.params.means, rtol=1e-7)


def test_held_out_by_weights_is_refitting_on_the_subsets():
    """By hand: fit on each complement, score the fold, with rows weighted too."""
    model, x = mixture(), CASES["full"].data(300)
    weight = np.random.default_rng(0).uniform(0.5, 2, 300)
    options = dict(key=KEY, init=CASES["full"].truth)
    got, interrupted = cross_validate(model, x, 3, weight, options | dict(n_starts=1))
    assert not interrupted
    order = np.asarray(jax.random.permutation(jax.random.fold_in(KEY, 3), 300))
    score = 0.0
    for i in range(3):
        held = order % 3 == i
        assert held.sum() == 100
        fit = jaxem.fit(model, x[~held], n_starts=1, sample_weight=weight[~held], **options).best()
        score += weight[held] @ np.asarray(model.log_prob(fit.params, x[held]))
    assert got == pytest.approx(score / weight.sum(), rel=1e-8)


def test_the_held_out_criterion_prefers_what_predicts():
    swept = sweep((1, 3), folds=3, criterion="held_out")
    scores = [row.held_out for row in swept.rows]
    assert scores[1] > scores[0]
    assert swept.best.n_components == 3
    assert swept.table()[1]["held_out"] == scores[1]
    # Folds are weights on one shape: they compile nothing that the first fold did not.
    assert sweep((1, 3), folds=3, criterion="held_out").report.programs == 0


# The door -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"criterion": "waic"}, "one of bic, aic, icl, icl_entropy, held_out.*'waic'"),
        ({"criterion": "held_out"}, "folds >= 2"),
        ({"n_components": ()}, "nothing to fit"),
        ({"n_components": (0,)}, "n_components must be at least 1"),
        ({"n_components": (301,)}, "n_components must be at most"),
        ({"types": "round"}, "covariance_type must be one of"),
        ({"folds": 301}, "folds must be at most"),
        ({"folds": 1}, "folds"),
        ({"accelerate": "magic"}, "accelerate must be"),
    ],
)
def test_arguments_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        sweep(**{"n_components": (1,), **options})


# Models by their labels ------------------------------------------------------------------------


def test_models_by_their_labels_are_scored_as_by_fit():
    models = {
        "one mean": NormalMean(),
        "two": mixture(k=2),
        (3, "tied"): mixture("tied", k=3),
    }
    swept = jaxem.sweep(X, models=models, key=KEY, n_starts=4)
    names = [(row.n_components, row.covariance_type) for row in swept.rows]
    assert names == [(1, "one mean"), (2, "two"), (3, "tied")]
    assert swept["two"] is swept[2, "two"]
    for number, (row, model) in enumerate(zip(swept.rows, models.values(), strict=True)):
        key = jax.random.fold_in(KEY, number)
        alone = jaxem.fit(model, X, key=key, n_starts=4).best()
        assert row.model == model
        assert row.criteria.log_likelihood == pytest.approx(float(alone.log_likelihood), rel=1e-9)
    assert np.isnan(swept["one mean"].criteria.icl)
    assert "one mean" in repr(swept)


def test_held_out_likelihood_of_a_model_of_ones_own():
    models = {"mean": NormalMean(), "mixture": mixture(k=3)}
    swept = jaxem.sweep(X, models=models, key=KEY, n_starts=3, criterion="held_out", folds=3)
    mean, fold = swept["mean"], np.asarray(jax.random.permutation(
        jax.random.fold_in(jax.random.fold_in(KEY, 0), 3), len(X)))  # fmt: skip
    total = 0.0
    for i in range(3):
        held = fold % 3 == i
        at = scipy.stats.multivariate_normal(X[~held].mean(axis=0), np.eye(2))
        total += at.logpdf(X[held]).sum()
    assert mean.held_out == pytest.approx(total / len(X), rel=1e-6)
    assert swept.best is swept["mixture"]


def test_no_models_and_wrong_ones():
    with pytest.raises(ValueError, match="models is empty"):
        jaxem.sweep(X, models={}, key=KEY)
    with pytest.raises(ValueError, match="GaussianFamily is no Model: it lacks"):
        jaxem.sweep(X, models={"family": jaxem.Gaussian("full")}, key=KEY)
