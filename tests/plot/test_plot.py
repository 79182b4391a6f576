"""Pictures: the geometry drawn is that of the fit, and every axis says what it is."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import jaxem

pytest.importorskip("matplotlib")

from jaxem import plot
from jaxem.plot.gaussians import covariance_matrices, ellipse, marginal_density

MATRIX = np.array([[4.0, 2.4], [2.4, 3.0]])
MEANS = jnp.array([[0.0, 0.0], [6.0, 1.0]])
X = np.random.default_rng(0).normal(size=(40, 2)) * 3


def _mixture(kind, covariances, **options):
    model = jaxem.Mixture(jaxem.Gaussian(kind, **options), n_components=2)
    components = jaxem.GaussianParams(MEANS, jnp.asarray(covariances))
    return model, jaxem.MixtureParams(jnp.array([0.4, 0.6]), components)


def test_an_ellipse_is_the_set_of_points_that_far_from_the_mean():
    mean = np.array([1.0, -2.0])
    patch = ellipse(mean, MATRIX, 2.0)
    points = patch.get_patch_transform().transform(
        [(np.cos(t), np.sin(t)) for t in np.linspace(0, 6, 30)]
    )
    gap = points - mean
    distance = np.sqrt(np.sum(gap * np.linalg.solve(MATRIX, gap.T).T, axis=1))
    np.testing.assert_allclose(distance, 2.0, rtol=1e-9)


def test_covariances_of_every_type_as_matrices():
    two = np.stack([MATRIX, 2 * MATRIX])
    rows = np.array([[1.0, 2.0], [2.0, 1.0]])  # symmetric, and k = d: still variances
    cases = [
        ("full", two, two, {}),
        ("tied", MATRIX, np.stack([MATRIX] * 2), {}),
        ("known", MATRIX, np.stack([MATRIX] * 2), {"covariance": MATRIX}),
        ("diag", rows, np.stack([np.diag(row) for row in rows]), {}),
        ("spherical", np.array([1.0, 2.0]), np.stack([np.eye(2), 2 * np.eye(2)]), {}),
    ]
    for kind, given, want, options in cases:
        got = covariance_matrices(*_mixture(kind, given, **options))
        np.testing.assert_array_equal(got, want, err_msg=kind)


def test_the_drawn_density_is_the_models():
    model, params = _mixture("full", np.stack([MATRIX, 0.5 * MATRIX]))
    got = marginal_density(model, params, X, (0, 1))
    np.testing.assert_allclose(got, np.exp(model.log_prob(params, X)), rtol=1e-8)
    swapped = marginal_density(model, params, X[:, ::-1], (1, 0))
    np.testing.assert_allclose(swapped, got, rtol=1e-8)


def test_contours_hold_their_shares():
    model, params = _mixture("full", np.stack([MATRIX, 0.5 * MATRIX]))
    axis = plot.new_figure(4, 4).subplots()
    plot.contours(axis, model, params, X, ["u", "v"])
    levels = next(c.levels for c in axis.collections if hasattr(c, "levels"))
    sample = np.random.default_rng(1)
    label = sample.random(20_000) < 0.6
    noise = sample.normal(size=(20_000, 2)) @ np.linalg.cholesky(MATRIX).T
    points = np.where(label[:, None], np.asarray(MEANS[1]) + noise * np.sqrt(0.5), noise)
    density = marginal_density(model, params, points, (0, 1))
    held = [(density > level).mean() for level in levels[:4]]
    np.testing.assert_allclose(held, [0.95, 0.75, 0.5, 0.25], atol=0.02)


def test_every_panel_names_its_axes_on_a_white_page(tmp_path):
    model, params = _mixture("full", np.stack([MATRIX, MATRIX]))
    figure = plot.new_figure(8, 8)
    plot.data(figure.add_subplot(2, 2, 1), X, ["u", "v"])
    plot.classified(figure.add_subplot(2, 2, 2), model, params, X, ["u", "v"])
    plot.objective(figure.add_subplot(2, 2, 3), [1.0, 2.0, np.nan])
    plot.surface(figure.add_subplot(2, 2, 4, projection="3d"), model, params, X, ["u", "v"])
    for axis in figure.axes:
        assert axis.get_xlabel() and axis.get_ylabel() and axis.get_title()
    line = figure.axes[2].lines[0]
    assert line.get_xdata().tolist() == [0, 1]
    plot.save(figure, tmp_path / "page.png")
    from matplotlib.image import imread

    corner = imread(tmp_path / "page.png")[0, 0]
    np.testing.assert_array_equal(corner, 1.0)


def test_ellipses_are_not_clipped():
    model, params = _mixture("full", np.stack([MATRIX, 30 * MATRIX]))
    axis = plot.new_figure(4, 4).subplots()
    plot.classified(axis, model, params, X, ["u", "v"])
    reach = 2 * np.sqrt(30 * MATRIX[0, 0])
    low, high = axis.get_xlim()
    assert low <= 6 - reach and high >= 6 + reach


def test_the_picture_of_a_fit_depends_on_its_columns_and_family():
    model, params = _mixture("full", np.stack([MATRIX, MATRIX]))
    figure = plot.fit_figure(model, params, X, ["u", "v"], {1: 5.0, 2: 3.0, 3: 4.0})
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == 3 and titles[2].endswith("K = 2")
    counts = np.arange(12.0)[:, None] % 5
    poisson = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    rates = jaxem.MixtureParams(
        jnp.array([0.5, 0.5]), jaxem.PoissonParams(jnp.array([[1.0], [3.0]]))
    )
    figure = plot.fit_figure(poisson, rates, counts, ["calls"], {2: 3.0})
    (axis,) = figure.axes
    assert axis.get_ylabel() == "probability" and axis.get_xlabel() == "calls"
    heights = [bar.get_height() for bar in axis.patches]
    np.testing.assert_allclose(heights, [3 / 12, 3 / 12, 2 / 12, 2 / 12, 2 / 12], rtol=1e-9)


def test_a_histogram_follows_the_weights():
    values = np.array([[0.0], [0.0], [1.0]])
    poisson = jaxem.Mixture(jaxem.Poisson(), n_components=2)
    rates = jaxem.MixtureParams(
        jnp.array([0.5, 0.5]), jaxem.PoissonParams(jnp.array([[1.0], [3.0]]))
    )
    axis = plot.new_figure(4, 4).subplots()
    weight = np.array([1.0, 0.0, 3.0])
    plot.histogram(axis, poisson, rates, values, ["calls"], weight, discrete=True)
    assert [bar.get_height() for bar in axis.patches] == [0.25, 0.75]


def test_a_sweep_rings_its_best_model():
    def row(k, kind, bic, held_out):
        return dict(n_components=k, covariance_type=kind, bic=bic, held_out=held_out)

    rows = [row(1, "full", 30.0, -3.0), row(2, "full", 10.0, -1.0), row(3, "full", None, None)]
    rows += [row(1, "diag", 25.0, -4.0), row(2, "diag", 12.0, -0.5)]
    swept = SimpleNamespace(table=lambda: rows)
    for criterion, best in (("bic", (2, 10.0)), ("held_out", (2, -0.5))):
        axis = plot.new_figure(4, 3).add_subplot()
        plot.sweep(axis, swept, criterion)
        full, diag, ring = axis.lines
        assert list(full.get_xdata()) == [1, 2] and list(diag.get_xdata()) == [1, 2]
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == best
        assert axis.get_xlabel() and axis.get_ylabel()
    with pytest.raises(ValueError, match="no model of this sweep has 'icl'"):
        plot.sweep(
            axis, SimpleNamespace(table=lambda: [dict(row(1, "full", 1.0, 1.0), icl=None)]), "icl"
        )
