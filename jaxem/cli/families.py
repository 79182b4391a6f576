"""Ranges, devices and families as the user types them."""

import numpy as np

import jaxem
from jaxem.core.protocols import Family
from jaxem.devices.placement import placement_of
from jaxem.families import levels

FAMILIES = ("gaussian", "poisson", "bernoulli", "binomial", "exponential", "categorical")
COVARIANCES = ("full", "tied", "diag", "spherical", "VVV", "EEE", "VVI", "VII")


def parse_range(text: str) -> list[int]:
    """ "3" or "1:9" (both ends included) as a list; ValueError for anything else."""
    parts = text.split(":")
    if not all(part.isdecimal() for part in parts) or len(parts) > 2:
        raise ValueError(f"-k takes a number like 3 or a range like 1:9; got {text!r}.")
    low, high = int(parts[0]), int(parts[-1])
    if low < 1 or high < low:
        raise ValueError(f"-k must run from at least 1 upwards; got {text!r}.")
    return list(range(low, high + 1))


def devices_of(text: str | None) -> int | str | None:
    """The argument `devices` of `jaxem.fit` for an option; ValueError for devices not there."""
    if text is None:
        return None
    chosen = int(text) if text.isdecimal() else text
    try:
        placement_of(chosen)
    except ValueError as error:
        raise ValueError(f"--devices {text}: {error}") from error
    return chosen


def build_family(name: str, covariance: str | None, trials: int | None, x: np.ndarray) -> Family:
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
