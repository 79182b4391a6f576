"""Pictures of results, `fits.plot` and `sweep.plot`: what is drawn are the fits' numbers."""

import numpy as np
import pytest

import jaxem
from jaxem.core.status import Status
from jaxem.results.sweep import Row

pytest.importorskip("matplotlib")

from matplotlib import pyplot

from jaxem.plot.criteria import start_values
from jaxem.plot.parameters import matched

pyplot.switch_backend("Agg")

MEANS = np.array([[0.0, 0.0, 1.0], [6.0, 1.0, -1.0]])
COVARIANCE = np.array([[4.0, 2.4, 0.3], [2.4, 3.0, 0.1], [0.3, 0.1, 1.0]])
WEIGHTS = np.array([0.4, 0.6])
X = np.random.default_rng(0).normal(size=(40, 3)) * 2 + 1.0


MODEL = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)


def mixture(covariances=None, means=MEANS, weights=WEIGHTS):
    covariances = np.stack([COVARIANCE, 0.5 * COVARIANCE]) if covariances is None else covariances
    return jaxem.MixtureParams(weights, jaxem.GaussianParams(means, covariances))


def fits(objective, status, params=None, **more):
    objective = np.asarray(objective, float)
    status = np.asarray(status)
    made = jaxem.Fit(params, objective, objective, status, np.full(status.shape, 7), **more)
    known = params is not None and hasattr(params.components, "means")
    return made.of(MODEL) if known else made


ONE = fits(-10.0, Status.CONVERGED, mixture())


@pytest.fixture(autouse=True)
def _no_figure_is_left_open():
    yield
    pyplot.close("all")


def heights(axis):
    return sum(bar.get_height() for group in axis.containers for bar in group)


def test_bars_sum_to_the_starts_that_are_drawn():
    status = [Status.CONVERGED] * 5 + [Status.PRUNED] * 3 + [Status.SINGULAR, Status.NONFINITE]
    objective = [-10, -10, -10.0001, -12, -30, -20, -25, -26, -5, np.nan]
    follows = np.array([-1] * 5 + [0, 3, -1, -1, -1], np.int32)
    ends = fits(objective, status, follows=follows)
    axis = ends.plot.starts()
    assert heights(axis) == 8
    best = [
        sum(bar.get_height() for bar in group if bar.get_x() <= -10 <= bar.get_x() + 1)
        for group in axis.containers
    ]
    assert sum(best) == 4  # three converged there, one joined them
    text = [entry.get_text() for entry in axis.get_legend().get_texts()]
    assert text == [
        "5 ended there",
        "2 joined one that did",
        "1 left the race before",
        "2 failed, not drawn",
    ]
    assert axis.get_title() == "best -10.00, reached by 4 of 10 starts"


def test_one_optimum_is_one_bar_with_its_count():
    axis = fits([-10, -10.00001, -10], [Status.CONVERGED] * 3).plot.starts()
    (group,) = axis.containers
    (bar,) = [bar for bar in group if bar.get_height()]
    assert bar.get_height() == 3
    np.testing.assert_allclose(bar.get_x() + bar.get_width() / 2, -10)
    assert [text.get_text() for text in axis.texts] == ["3"]
    assert axis.get_legend() is None


def test_traces_are_distances_to_the_best():
    trace = np.array([[-20.0, -11.0, -10.0, np.nan], [-18.0, -15.0, -14.0, -14.0]])
    runs = fits([-10.0, -14.0], [Status.CONVERGED, Status.MAX_ITER], trace=trace)
    axis = runs.plot.traces()
    drawn = [line.get_ydata() for line in axis.lines if len(line.get_ydata())]
    np.testing.assert_array_equal(drawn, [[10, 1, np.nan, np.nan], [8, 5, 4, 4]])
    assert axis.get_yscale() == "log"
    assert runs[1].plot.traces().lines[0].get_ydata()[0] == 4  # a single run: to its own end
    with pytest.raises(ValueError, match=r"kept no trace.*trace=True.*trace=200"):
        ONE.plot.traces()
    assert len(pyplot.get_fignums()) == 2


@pytest.mark.parametrize("columns", [(0, 1), (2, 0), ("c", "a")])
def test_ellipses_have_the_eigenvalues_of_their_columns(columns):
    axis = ONE.plot.ellipses(X, columns, names=["a", "b", "c"])
    chosen = [("a", "b", "c").index(c) if isinstance(c, str) else c for c in columns]
    assert axis.get_xlabel() == "abc"[chosen[0]] and axis.get_ylabel() == "abc"[chosen[1]]
    for patch, scale, mean in zip(axis.patches, (1.0, 0.5), MEANS, strict=True):
        values = np.linalg.eigvalsh(scale * COVARIANCE[np.ix_(chosen, chosen)])
        got = sorted([patch.width, patch.height])
        np.testing.assert_allclose(got, 2 * 2.0 * np.sqrt(values), rtol=1e-9)
        np.testing.assert_array_equal(patch.center, mean[chosen])
    drawn = np.concatenate([np.asarray(dots.get_offsets()) for dots in axis.collections])
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, X[:, chosen]))


def test_contours_are_those_of_the_marginal_density():
    axis = ONE.plot.contours(X, (2, 1))
    high = np.asarray(axis.collections[0].get_paths()[-1].vertices)
    assert axis.get_xlabel() == "x2" and axis.get_ylabel() == "x1"
    assert np.min(np.linalg.norm(high - MEANS[1][[2, 1]], axis=1)) < 2.0


def test_responsibilities_stack_to_one_for_every_row():
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    axis = ONE.plot.responsibilities(X)
    first, second = [one.get_paths()[0].vertices for one in axis.collections]
    r = np.asarray(model.predict_proba(mixture(), X))
    assert first[:, 0].max() == len(X)
    middle = first[np.isclose(first[:, 1], r[:, 0].max())]
    assert len(middle)  # the surest row of the first component reaches its probability
    np.testing.assert_allclose(second[:, 1].max(), 1.0)
    area = _area(first) / len(X), _area(second) / len(X)
    np.testing.assert_allclose(area, r.mean(axis=0), rtol=1e-6)


def _area(points):
    x, y = points[:-1, 0], points[:-1, 1]
    return abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2


def test_clouds_match_components_that_were_swapped():
    draws = np.random.default_rng(1).normal(size=(30, 2, 3)) * 0.1 + MEANS
    swapped = np.arange(30) % 2 == 1
    means = np.where(swapped[:, None, None], draws[:, ::-1], draws)
    params = mixture(np.broadcast_to(np.eye(3), (30, 2, 3, 3)), means, np.full((30, 2), 0.5))
    status = np.where(np.arange(30) < 28, Status.CONVERGED, Status.SINGULAR)
    runs = fits(-np.arange(30.0), status, params)
    axis = runs.plot.clouds((2, 0), names=["a", "b", "c"])
    clouds = [dots.get_offsets() for dots in axis.collections if len(dots.get_offsets())]
    for k, cloud in enumerate(clouds):
        np.testing.assert_allclose(cloud, draws[:28, k][:, [2, 0]])
    assert axis.get_xlabel() == "means: c"
    np.testing.assert_allclose(axis.lines[0].get_xdata(), draws[0, :, 2])
    replicates = fits(np.zeros((30, 1)), status[:, None], _with_axis(params))
    other = replicates.plot.clouds((2, 0), reference=mixture())
    np.testing.assert_array_equal(other.collections[0].get_offsets(), clouds[0])
    with pytest.raises(ValueError, match=r"columns .*: means has 3"):
        runs.plot.clouds((0, 3))
    with pytest.raises(ValueError, match="field must be one of means, covariances"):
        runs.plot.clouds(field="rates")


def _with_axis(params):
    components = params.components
    own = jaxem.GaussianParams(components.means[:, None], components.covariances[:, None])
    return jaxem.MixtureParams(params.weights[:, None], own)


def test_alignment_is_the_assignment_of_least_distance():
    # The nearest component alone would take component 1 twice.
    target = np.array([[0.0], [1.0], [10.0]])
    assert matched(np.array([[[9.0], [0.9], [-5.0]]]), target).tolist() == [[2, 1, 0]]


def test_parameters_of_one_column_are_drawn_against_the_weights():
    rates = jaxem.PoissonParams(np.array([[[1.0], [5.0]], [[5.5], [1.5]]]))
    params = jaxem.MixtureParams(np.array([[0.3, 0.7], [0.6, 0.4]]), rates)
    axis = fits([-1.0, -2.0], [Status.CONVERGED] * 2, params).plot.clouds()
    first = axis.collections[0].get_offsets()
    np.testing.assert_allclose(first, [[1.0, 0.3], [1.5, 0.4]])
    assert axis.get_ylabel() == "weight" and axis.get_xlabel() == "rates[0]"


def sweep_of(likelihoods):
    rows = []
    for k, values in likelihoods.items():
        runs = fits(values, [Status.CONVERGED] * len(values))
        best = max(values)
        scores = jaxem.Criteria(best, 3 * k, 9 * k - 2 * best, 6 * k - 2 * best, 0.0)
        model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=k)
        rows.append(Row(k, "full", model, runs, scores))
    return jaxem.Sweep(tuple(rows), "bic", jaxem.Report())


def test_a_criterion_shows_the_spread_of_the_starts():
    likelihoods = {1: [-100.0], 2: [-80.0, -81.0, -82.0, -90.0, -99.0]}
    swept = sweep_of(likelihoods)
    bic = start_values(swept.rows[1], "bic")
    np.testing.assert_allclose(bic, 18 - 2 * np.array(likelihoods[2]))
    axis = swept.plot.criterion()
    assert axis.lines[0].get_ydata().tolist() == [209, 178]
    thick, thin = [bars.get_segments()[0][:, 1] for bars in axis.collections]
    np.testing.assert_allclose(thick, [178, np.median(bic)])
    np.testing.assert_allclose(thin, [178, np.quantile(bic, 0.9)])
    rising = swept.plot.criterion("log_likelihood").collections[0].get_segments()[0][:, 1]
    np.testing.assert_allclose(rising, [-80, -82])
    for name in ("icl", "icl_entropy"):
        assert start_values(swept.rows[1], name).size == 0  # without the data
    with pytest.raises(ValueError, match="no model of this sweep has 'held_out'"):
        swept.plot.criterion("held_out")


def test_the_spread_of_icl_is_each_starts_own():
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    two = [mixture(), mixture(np.stack([4 * COVARIANCE, COVARIANCE]))]
    values = [float(np.sum(model.log_prob(one, X))) for one in two]
    stacked = jaxem.MixtureParams(
        np.stack([WEIGHTS] * 2),
        jaxem.GaussianParams(
            np.stack([MEANS] * 2), np.stack([one.components.covariances for one in two])
        ),
    )
    runs = fits(values, [Status.CONVERGED] * 2, stacked)
    own = jaxem.criteria(model, runs[0], X)
    row = Row(2, "full", model, runs, own)
    got = start_values(row, "icl", X), start_values(row, "icl_entropy", X)
    for one, icl, entropy in zip(two, *got, strict=True):
        r = np.asarray(model.predict_proba(one, X))
        bic = 19 * np.log(len(X)) - 2 * float(np.sum(model.log_prob(one, X)))
        np.testing.assert_allclose(icl, bic - 2 * np.sum(np.log(r.max(axis=1))), rtol=1e-9)
        np.testing.assert_allclose(entropy, bic - 2 * np.sum(r * np.log(r)), rtol=1e-9)


def test_axes_in_axes_out():
    figure, axis = pyplot.subplots()
    assert ONE.plot.ellipses(X, ax=axis) is axis
    assert pyplot.get_fignums() == [figure.number]
    assert ONE.plot.contours(X) is not axis


@pytest.mark.parametrize(
    "draw, message",
    [
        (lambda: ONE.plot.ellipses(X, (0, 3)), r"columns must be two of 0 \(x0\), .*2 \(x2\)"),
        (lambda: ONE.plot.contours(X[:, 0]), r"columns must be two of 0 \(x0\); got"),
        (lambda: ONE.plot.ellipses(X, names=["a"]), "1 given for 3 columns"),
        (lambda: ONE.plot.clouds(), "needs several fits"),
        (lambda: ONE.plot.starts(), "one data set; these fits have shape"),
        (lambda: fits([np.nan], [Status.SINGULAR]).plot.starts(), "No sound fit among 1"),
    ],
)
def test_what_cannot_be_drawn_says_so_and_leaves_no_figure(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert not pyplot.get_fignums()


def test_families_without_means_and_fits_that_do_not_know_their_model():
    p = jaxem.BinomialParams(np.array([[0.1], [0.9]]))
    binomial = fits(-1.0, Status.CONVERGED, jaxem.MixtureParams(WEIGHTS, p))
    for name in ("ellipses", "contours", "responsibilities"):
        with pytest.raises(ValueError, match=f"do not know their model.*plot.{name}"):
            getattr(binomial.plot, name)(X[:, :1])
    model = jaxem.Mixture(jaxem.Binomial(4), n_components=2)
    with pytest.raises(ValueError, match=r"need means and covariances; Mixture\(family=Binomial"):
        binomial.plot.ellipses(X, model=model)
    with pytest.raises(ValueError, match=r"continuous ones of two columns; got .*Binomial.*of 3"):
        binomial.plot.contours(X, model=model)
    axis = binomial.plot.responsibilities(np.array([0.0, 4.0]), model=model)
    assert axis.get_title().startswith("0% of rows")


def test_a_menu_of_pictures():
    text = repr(ONE.plot)
    for name in ("starts", "traces", "ellipses", "contours", "responsibilities", "clouds"):
        assert f"fits.plot.{name} " in text and name in dir(ONE.plot)
