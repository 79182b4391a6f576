"""How fast are thousands of small data sets fitted?

5000 data sets of n = 256, d = 2, K = 3, full covariance, 5 starts each, tolerance 1e-4 per row;
scikit-learn (`n_init=5`) over all cores, its seconds per data set times 5000 (a few hundred are
timed). Likelihoods are compared data set by data set.
"""

from typing import Any

import jax
import numpy as np

import jaxem
from bench.harness import figures, peers, reference
from bench.harness.fits import OwnFits, SklearnFits, full_mixture
from bench.harness.problems import separate
from bench.harness.rows import Part, Verdict, row
from bench.harness.timing import interleaved

STARTS, K = 5, 3
OWN, PEER = "jaxem.fit_many", "scikit-learn, processes"


def run(quick: bool) -> list[dict[str, Any]]:
    """One row of jaxem, one of scikit-learn."""
    sets, sample = (40, 8) if quick else (5000, 100)
    x = separate(sets, 64 if quick else 256, 2, K)
    same: dict[str, Any] = dict(tol=1e-4, max_iter=500)
    options = dict(same, n_components=K, n_init=STARTS, init_params="k-means++")

    def work(i: int) -> tuple[np.ndarray, dict[str, Any]]:
        return x[i % sets], dict(options, random_state=i % sets)

    key = jax.random.key(0)
    own = OwnFits(jaxem.fit_many, full_mixture(K), x, key=key, n_starts=STARTS, **same)
    loop = SklearnFits(work, sample, sets, "processes")
    variants: dict[str, Any] = {OWN: own}
    if peers.installed("sklearn"):
        variants[PEER] = loop
    times = interleaved(variants, 1.0 if quick else 90.0, least=2, most=5)
    rows = [_row(OWN, x, times[OWN], own.known())]
    if loop.fits:
        rows.append(_row(PEER, x, times[PEER], loop.known() | _gains(own, loop, x)))
    return rows


def _row(name, x, timing, known) -> dict[str, Any]:
    sets, n, d = x.shape
    rate = sets * STARTS / timing.median
    known |= dict(dtype="float32", data_sets=sets, fits_per_second=rate)
    return row(name, (n, d, K, sets * STARTS), timing, **known)


def _gains(own: OwnFits, loop: SklearnFits, x) -> dict[str, float]:
    """How jaxem's likelihoods stand beside scikit-learn's, data set by data set."""
    best, gains = own.fits.best(), []
    for i, fit in enumerate(loop.fits):
        one = x[i % len(x)]
        peer = reference.log_likelihood(*fit["params"], one)
        gains.append(reference.of_fit(best[i % len(x)], one) - peer)
    return {
        "jaxem_not_below": float(np.mean(np.array(gains) > -0.05)),
        "jaxem_gain_mean": float(np.mean(gains)),
    }


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """Speed and likelihood against scikit-learn."""
    own, *peer = rows
    out = [Verdict("fits per second", own["fits_per_second"], ">=", 10_000.0)]
    for one in peer:
        out.append(Verdict("scikit-learn / jaxem", one["seconds"] / own["seconds"], ">=", 100.0))
        share, gain = one["jaxem_not_below"], one["jaxem_gain_mean"]
        out.append(Verdict("share of data sets where jaxem is not below", share))
        out.append(Verdict("mean gain in nats per data set", gain, ">=", -0.05))
    return out


def draw(figure: Any, rows: list[dict[str, Any]]) -> None:
    """Fits per second on small data sets."""
    figure.set_figheight(2.4)
    axes = figure.subplots()
    figures.plot_dots(axes, rows, "fits_per_second")
    one = rows[0]
    title = f"{one['data_sets']} data sets, n = {one['n']}, d = {one['d']}, K = {one['k']}"
    axes.set(xlabel="fits per second", title=title)


PARTS = {"many": Part(run, verdicts, draw)}
