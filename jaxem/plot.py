"""Pictures of a fit: classified data with ellipses or density, and BIC over K."""

import numpy as np

#: Okabe and Ito's palette, distinguishable with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")


def fit_figure(model, params, x, names, bic_by_k):
    """A matplotlib Figure: the classified data of the first two columns, and BIC over K."""
    from matplotlib.figure import Figure

    several = len(bic_by_k) > 1
    figure = Figure(figsize=(10 if several else 5.5, 4.5), layout="constrained")
    axes = figure.subplots(1, 2 if several else 1, squeeze=False)[0]
    (_histogram if x.shape[1] == 1 else _scatter)(axes[0], model, params, x, names)
    if several:
        axes[1].plot(list(bic_by_k), list(bic_by_k.values()), "o-", color=COLOURS[0])
        axes[1].set(xlabel="number of components", ylabel="BIC (lower is better)")
        axes[1].set_xticks(list(bic_by_k))
    return figure


def _scatter(axis, model, params, x, names):
    from matplotlib.patches import Ellipse

    label = np.asarray(model.predict(params, x))
    means = np.asarray(params.means)[:, :2]
    for k, matrix in enumerate(covariance_matrices(params)):
        colour = COLOURS[k % len(COLOURS)]
        axis.scatter(*x[label == k, :2].T, s=12, color=colour, alpha=0.6, linewidths=0)
        values, vectors = np.linalg.eigh(matrix[:2, :2])
        angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
        width, height = 4 * np.sqrt(values[1]), 4 * np.sqrt(values[0])
        axis.add_patch(
            Ellipse(means[k], width, height, angle=angle, fill=False, color=colour, lw=2)
        )
    axis.set(xlabel=names[0], ylabel=names[1], title="two standard deviations")


def _histogram(axis, model, params, x, names):
    axis.hist(x[:, 0], bins="auto", density=True, color="0.8")
    grid = np.linspace(x.min(), x.max(), 400)
    axis.plot(grid, np.exp(np.asarray(model.log_prob(params, grid[:, None]))), color=COLOURS[0])
    axis.set(xlabel=names[0], ylabel="density")


def covariance_matrices(params) -> np.ndarray:
    """Covariances of any type as matrices f[k, d, d]."""
    k, d = np.shape(params.means)
    c = np.asarray(params.covariances)
    if c.ndim == 1:
        return c[:, None, None] * np.eye(d)
    if c.shape == (k, d, d):
        return c
    if c.shape == (d, d) and not _diagonal_type(c, params):
        return np.broadcast_to(c, (k, d, d))
    return np.stack([np.diag(row) for row in c])


def _diagonal_type(c: np.ndarray, params) -> bool:
    """With k = d, rows of variances are told from one matrix by its missing symmetry."""
    return c.shape == np.shape(params.means) and not np.allclose(c, c.T)
