"""Tables and pictures of families and models that users write: by their constraints alone."""

import numpy as np
import pytest
from families.test_protocol import Scatter, ScatterParams
from own_models import BloodGroups, Genes, Mean, NormalMean

import jaxem
from jaxem.core.status import Status
from jaxem.results.parameters import columns, fields_of

pytest.importorskip("matplotlib")

from matplotlib import pyplot

from jaxem import plot

pyplot.switch_backend("Agg")

MODEL = jaxem.Mixture(Scatter(), n_components=2)
X = np.random.default_rng(0).normal(size=(40, 2)) * 2
CENTRES = np.array([[0.0, 0.0], [3.0, 1.0]])
SCATTER = np.array([[2.0, 0.6], [0.6, 1.0]])
PARAMS = jaxem.MixtureParams(np.array([0.4, 0.6]), ScatterParams(CENTRES, np.stack([SCATTER] * 2)))


@pytest.fixture(autouse=True)
def _no_figure_is_left_open():
    yield
    pyplot.close("all")


def fits(model, params, count=None):
    if count is None:
        value, status = np.float64(-10.0), np.array(Status.CONVERGED)
    else:
        value, status = -np.arange(10.0, 10.0 + count), np.full(count, Status.CONVERGED)
    return jaxem.Fit(params, value, value, status, np.full(status.shape, 7)).of(model)


def stacked(params, count=4):
    import jax

    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: leaf + 0.01 * rng.normal(size=(count, *np.shape(leaf))), params
    )


ONE = fits(MODEL, PARAMS)


def test_a_family_of_other_names_is_drawn_like_a_gaussian():
    axis = ONE.plot.contours(X)
    peer = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    same = jaxem.MixtureParams(
        PARAMS.weights, jaxem.GaussianParams(CENTRES, SCATTER[None] * [[[1]], [[1]]])
    )
    highest = [
        np.asarray(one.collections[0].get_paths()[-1].vertices).mean(axis=0)
        for one in (axis, fits(peer, same).plot.contours(X))
    ]
    np.testing.assert_allclose(*highest, atol=0.1)  # on another grid
    ONE.plot.responsibilities(X)
    clouds = fits(MODEL, stacked(PARAMS), 4).plot.clouds(names=["a", "b"])
    assert (clouds.get_xlabel(), clouds.get_ylabel()) == ("centre: a", "centre: b")
    clouds = fits(MODEL, stacked(PARAMS), 4).plot.clouds((1, 3), field="scatter")
    assert clouds.get_xlabel() == "scatter[0, 1]"
    with pytest.raises(ValueError, match=r"ellipses.. need means and covariances; .*Scatter"):
        ONE.plot.ellipses(X)
    figure = plot.fit_figure(MODEL, PARAMS, X, ["a", "b"], {2: 1.0})
    assert len(figure.axes) == 2
    wide = jaxem.MixtureParams(
        PARAMS.weights, ScatterParams(np.zeros((2, 3)), np.stack([np.eye(3)] * 2))
    )
    table, *_ = plot.fit_figure(MODEL, wide, np.eye(3), ["a", "b", "c"], {2: 1.0}).axes
    assert [tick.get_text() for tick in table.get_xticklabels()] == ["a", "b", "c"]


def test_components_without_a_density_in_the_plane_say_so():
    model = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    params = jaxem.MixtureParams(PARAMS.weights, jaxem.PoissonParams(CENTRES + 1))
    with pytest.raises(ValueError, match=r"continuous ones of two columns; got .*Poisson"):
        fits(model, params).plot.contours(np.ones((3, 2)))


@pytest.mark.parametrize(
    "model, params",
    [(BloodGroups(), Genes(np.array([0.3, 0.1, 0.6]))), (NormalMean(), Mean(CENTRES[1]))],
)
def test_models_without_components(model, params):
    one, many = fits(model, params), fits(model, stacked(params), 4)
    assert "number" in one._repr_html_() or "parameter" in one._repr_html_()
    assert many.plot.starts() and many.plot.clouds().get_ylabel().endswith("[1]")
    for name in ("ellipses", "contours", "responsibilities"):
        with pytest.raises(
            ValueError, match=rf"{name}\(\) needs a model with .*{type(model).__name__}"
        ):
            getattr(one.plot, name)(X)
    scores = one.criteria(np.array([[0.0], [1.0]]) if isinstance(model, BloodGroups) else X)
    assert scores.bic > 20 and np.isnan(scores.icl) and scores.icl_entropy is None


def test_the_constraints_tell_what_components_share():
    tied = jaxem.MixtureParams(PARAMS.weights, jaxem.GaussianParams(CENTRES, SCATTER))
    each, shared = fields_of(tied, jaxem.Mixture(jaxem.Gaussian("tied"), n_components=2))
    assert list(each) == ["means"] and list(shared) == ["covariances"]  # though k = d
    text = fits(jaxem.Mixture(jaxem.Gaussian("tied"), n_components=2), tied)._repr_html_()
    assert "<td>covariances</td><td>[[2, 0.6], [0.6, 1]]</td>" in text
    family = jaxem.Categorical((2, 3))
    probabilities = np.array([[[0.5, 0.5, 0], [0.2, 0.3, 0.5]]])
    titles, values = columns("p", probabilities, ["a", "b"], family.constraints()["probabilities"])
    assert titles == ["a=0", "a=1", "b=0", "b=1", "b=2"]
    np.testing.assert_array_equal(values, [[0.5, 0.5, 0.2, 0.3, 0.5]])


def test_a_sweep_of_models_by_their_labels():
    models = {"mean": NormalMean(), "two": MODEL}
    swept = jaxem.sweep(X, models=models, key=0, n_starts=2)
    assert "best is" in swept.plot.criterion("bic").get_title()
    counts = jaxem.sweep(
        np.arange(12.0)[:, None] % 5, [1, 2], "", key=0, n_starts=2,
        models=lambda k, kind: jaxem.Mixture(jaxem.Poisson(), n_components=k),
    )  # fmt: skip
    axis = counts.plot.criterion("bic")
    assert axis.get_title().startswith("BIC: best is K = ")
    assert axis.get_legend().get_texts()[0].get_text() == "best start"
