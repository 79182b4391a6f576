"""Ranges and families as typed; one K of `jaxem fit`: many starts, the best, its criteria."""

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

import jaxem
from jaxem.core.constraints import shared_fields
from jaxem.devices.placement import place_of
from jaxem.families import levels

FAMILIES = ("gaussian", "poisson", "bernoulli", "binomial", "exponential", "categorical")
COVARIANCES = ("full", "tied", "diag", "spherical", "VVV", "EEE", "VVI", "VII")


@dataclass(frozen=True)
class Row:
    """The fits of one K; `fit` is the best sound one, None when there is none."""

    k: int
    model: Any
    fit: Any
    reached: int  # sound starts that ended at the best one's likelihood
    statuses: dict[str, int]
    criteria: jaxem.Criteria | None = None

    @property
    def covariance_type(self) -> str:
        """ "full" and so on; empty for families without covariances."""
        return getattr(self.model.family, "covariance_type", "")


def parse_range(text: str) -> list[int]:
    """ "3" or "1:9" (both ends included) as a list; ValueError for anything else."""
    parts = text.split(":")
    if not all(part.isdecimal() for part in parts) or len(parts) > 2:
        raise ValueError(f"-k takes a number like 3 or a range like 1:9; got {text!r}.")
    low, high = int(parts[0]), int(parts[-1])
    if low < 1 or high < low:
        raise ValueError(f"-k must run from at least 1 upwards; got {text!r}.")
    return list(range(low, high + 1))


def devices_of(text: str | None) -> Any:
    """What `devices` of `jaxem.fit` means by the option; ValueError for devices not there."""
    if text is None:
        return None
    chosen = int(text) if text.isdecimal() else text
    try:
        place_of(chosen)
    except ValueError as error:
        raise ValueError(f"--devices {text}: {error}") from error
    return chosen


def build_family(name: str, covariance: str | None, trials: int | None, x: np.ndarray) -> Any:
    """The component family of an option, with what it needs; ValueError says what is missing."""
    if name not in FAMILIES:
        raise ValueError(f"--family must be one of {', '.join(FAMILIES)}; got {name!r}.")
    if covariance is not None and name != "gaussian":
        raise ValueError(f"--covariance is for --family gaussian, not {name}.")
    if trials is not None and name != "binomial":
        raise ValueError(f"--trials is for --family binomial, not {name}.")
    if name == "gaussian":
        if covariance not in (None, *COVARIANCES):
            known = ", ".join(COVARIANCES)
            raise ValueError(f"--covariance must be one of {known}; got {covariance!r}.")
        return jaxem.Gaussian(covariance or "full")
    if name == "binomial":
        if trials is None or trials < 1:
            raise ValueError("--family binomial needs --trials, the number of trials of a count.")
        return jaxem.Binomial(trials)
    if name == "categorical":
        return jaxem.Categorical(levels.shown(x))
    return {
        "poisson": jaxem.Poisson, "bernoulli": jaxem.Bernoulli, "exponential": jaxem.Exponential,
    }[name]()  # fmt: skip


def fit_one(
    family: Any, x: np.ndarray, weight: Any, k: int, starts: int, seed: int, tol: float,
    max_iter: int, race: bool | None = None, generations: int = 0, devices: Any = None,
    pad_to: int | None = None,
) -> Row:  # fmt: skip
    """Fit one K from all starts and take stock."""
    model = jaxem.Mixture(family, n_components=k)
    fits = jaxem.fit(
        model, x, key=jax.random.key(seed), n_starts=starts, sample_weight=weight, tol=tol,
        max_iter=max_iter, race=race, generations=generations, devices=devices, pad_to=pad_to,
    )  # fmt: skip
    fits = jax.tree.map(np.asarray, fits)
    codes, counts = np.unique(np.asarray(fits.status), return_counts=True)
    statuses = {jaxem.Status(c).name: int(n) for c, n in zip(codes, counts, strict=True)}
    if not fits.sound.any():
        return Row(k, model, None, 0, statuses)
    best = fits.best()
    best = replace(best, params=heaviest_first(family, best.params))
    total = float(len(x) if weight is None else np.sum(weight))
    # What a start may still gain when its last step gained less than tol a row.
    reached = fits.optima(gap=0.01 + 100 * tol * total).best_count
    return Row(k, model, best, reached, statuses, jaxem.criteria(model, best, x, weight))


def heaviest_first(family: Any, params: Any) -> Any:
    """The same mixture with its components in order of falling weight."""
    order = np.argsort(-np.asarray(params.weights), kind="stable")
    shared = shared_fields(family.constraints())
    parts = {
        name: value if name in shared else value[order]
        for name, value in vars(params.components).items()
    }
    return replace(
        params, weights=params.weights[order], components=replace(params.components, **parts)
    )
