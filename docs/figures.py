"""Draws the README's figures, docs/old_faithful.png and docs/starts.png: python docs/figures.py."""

from pathlib import Path

import jax

import jaxem
from jaxem import datasets, plot

HERE = Path(__file__).parent


def old_faithful():
    """The classified data, the density, and BIC over one to five components."""
    x, names = datasets.load("old_faithful"), datasets.columns("old_faithful")
    found = jaxem.sweep(x, range(1, 6), key=jax.random.key(0), n_starts=50)
    curve = {row.n_components: row.criteria.bic for row in found.rows if row.criteria}
    best = found.best
    return plot.fit_figure(best.model, best.fits.best().params, x, names, curve)


def starts():
    """Where 500 starts on the diabetes data ended, and the components of the best one."""
    x, names = datasets.load("diabetes"), datasets.columns("diabetes")
    model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    options = dict(key=jax.random.key(0), init="random_from_data", race=False)
    fits = jaxem.fit(model, x, n_starts=500, **options)
    figure = plot.new_figure(10.4, 4.2)
    left, right = figure.subplots(1, 2)
    fits.plot.starts(left)
    fits.plot.ellipses(x, ("glucose", "insulin"), right, names=names)
    return figure


if __name__ == "__main__":
    plot.save(old_faithful(), HERE / "old_faithful.png")
    plot.save(starts(), HERE / "starts.png")
