"""pomegranate, torchgmm and tgmm, one restart at a time on all cores; only where installed.

Two of them offer no step of their own: the seconds of a long fit less those of a short one.
"""

import time
import warnings
from collections.abc import Callable

import numpy as np

from bench.harness.peers import installed
from bench.harness.timing import Variant

#: Iterations of the short fit that is subtracted.
SHORT = 2


def torch_peers() -> dict[str, Callable]:
    """The makers `(x, k, iterations) -> variant` of those that are installed."""
    known = {
        "pomegranate": ("pomegranate", pomegranate_steps),
        "torchgmm": ("torchgmm", torchgmm_steps),
        "tgmm": ("tgmm", tgmm_steps),
    }
    return {name: maker for name, (package, maker) in known.items() if installed(package)}


def pomegranate_steps(x: np.ndarray, k: int, iterations: int) -> Variant:
    """`summarize` and `from_summaries`."""
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    rows, covariance = torch.tensor(x), torch.tensor(np.cov(x.T).astype(np.float32))
    members = [
        Normal(rows[i].clone(), covariance.clone(), covariance_type="full") for i in range(k)
    ]
    model = GeneralMixtureModel(members, priors=torch.ones(k) / k)

    def run() -> float:
        begun = time.perf_counter()
        for _ in range(iterations):
            model.summarize(rows)
            model.from_summaries()
        return time.perf_counter() - begun

    return run


def torchgmm_steps(x: np.ndarray, k: int, iterations: int) -> Variant:
    """`fit` under its trainer, everything optional switched off."""
    import logging

    import torch
    from torchgmm.bayes import GaussianMixture

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = torch.tensor(x)
    quiet = dict(enable_progress_bar=False, enable_model_summary=False, logger=False)
    quiet |= dict(enable_checkpointing=False, accelerator="cpu")

    def fit(count: int) -> int:
        options = dict(init_means=rows[:k].clone(), trainer_params=quiet | {"max_epochs": count})
        mixture = GaussianMixture(
            k, covariance_type="full", convergence_tolerance=0.0, **options
        ).fit(rows)
        return mixture.num_iter_

    return _less_short(fit, iterations)


def tgmm_steps(x: np.ndarray, k: int, iterations: int) -> Variant:
    """`fit` with a tolerance that is never met."""
    import torch
    from tgmm import GaussianMixture

    warnings.simplefilter("ignore")
    rows = torch.tensor(x)

    def fit(count: int) -> int:
        means = rows[:k].clone()
        mixture = GaussianMixture(k, x.shape[1], max_iter=count, tol=1e-30, init_means=means)
        return int(mixture.fit(rows).n_iter_) + 1  # it counts from 0

    return _less_short(fit, iterations)


def _less_short(fit: Callable[[int], int], iterations: int) -> Variant:
    """Seconds of `iterations` more than the short fit makes."""

    def timed(count: int) -> float:
        begun = time.perf_counter()
        made = fit(count)
        if made != count:
            raise RuntimeError(f"stopped after {made} of {count} iterations")
        return time.perf_counter() - begun

    return lambda: max(timed(SHORT + iterations) - timed(SHORT), 1e-9)
