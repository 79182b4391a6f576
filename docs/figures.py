"""Draws the README's figure, docs/old_faithful.png: python docs/figures.py."""

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


if __name__ == "__main__":
    plot.save(old_faithful(), HERE / "old_faithful.png")
