"""Rows for the device: standardised, in float64, padded to few different lengths."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, validate_data

from jaxem.batch.padding import SPARE, padded_length
from jaxem.core.protocols import Family
from jaxem.data.data import Data, device_data
from jaxem.data.ragged import EXPECTED
from jaxem.data.scaling import Scaling, scaling_of, standardize

#: scikit-learn's `sample_weight`: f[n], or None for all ones.
Weights = ArrayLike | None

#: Smallest number of components that is computed where few rows make that cheap.
FEWEST_COMPONENTS = 8

#: scikit-learn's `random_state`.
RandomState = int | np.random.RandomState | None


def key_of(random_state: RandomState) -> jax.Array:
    """A JAX key from scikit-learn's `random_state`."""
    return jax.random.key(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def rows_to_fit(estimator: BaseEstimator, X: Any) -> np.ndarray:
    """X as rows f[n, d], n >= 2, by scikit-learn's checks; the estimator learns its columns."""
    kinds = [np.float64, np.float32]
    return np.asarray(validate_data(estimator, X, dtype=kinds, ensure_min_samples=2))


def rows_like_fitted(estimator: BaseEstimator, X: Any) -> np.ndarray:
    """X as rows f[n, d] of the columns that the estimator was fitted to."""
    return np.asarray(validate_data(estimator, X, dtype=[np.float64, np.float32], reset=False))


def weight_of(sample_weight: Weights, x: np.ndarray) -> np.ndarray | None:
    """f64[n], none of them negative; None where none was given."""
    if sample_weight is None:
        return None
    return _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)


def mean(values: np.ndarray, sample_weight: Weights) -> float:
    """The mean of values f[n], or their mean per unit of weight."""
    weight = None if sample_weight is None else _check_sample_weight(sample_weight, values)
    return float(np.average(values, weights=weight))


def pad(x: np.ndarray) -> np.ndarray:
    """x padded with copies of its first row."""
    missing = padded_length(len(x)) - len(x)
    return np.concatenate([x, np.broadcast_to(x[:1], (missing, x.shape[1]))])


def padded_components(k: int, responsibilities: int) -> int:
    """The next of 8, 16, 32, ..: mixtures of similar size then share one compiled program. `k`
    where that costs more than a program; each component more costs so many `responsibilities` an
    iteration."""
    size = FEWEST_COMPONENTS
    while size < k:
        size *= 2
    return size if (size - k) * responsibilities * EXPECTED <= SPARE else k


@dataclass(frozen=True)
class Rows:
    """The rows of one fit, as given and standardised."""

    x: np.ndarray  # f[n, d], as given
    weight: np.ndarray | None  # f[n], None for all ones
    scaling: Scaling
    z: np.ndarray  # f64[m, d], standardised, m = padded_length(n)
    w: np.ndarray  # f64[m], 0 beyond n

    def data(self, dtype: DTypeLike = np.float64) -> Data:
        """Device arrays of this dtype."""
        return device_data(self.z.astype(dtype), self.w)


def rows_of(family: Family, x: np.ndarray, weight: np.ndarray | None) -> Rows:
    """The rows x f[n, d], padded and in standard units."""
    wide = x.astype(np.float64)
    scaling = scaling_of(family, wide, weight)
    z = pad(standardize(wide, scaling))
    w = np.zeros(len(z))
    w[: len(x)] = 1.0 if weight is None else weight
    return Rows(x, weight, scaling, z, w)
