"""Merging components into clusters: Baudry et al. (2010, J. Comput. Graph. Stat. 19, 332)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxem.core.precision import precision_of
from jaxem.data.data import as_data
from jaxem.models import Mixture, MixtureParams
from jaxem.tools.arguments import one_fit


class Merging(NamedTuple):
    """The combined solutions of one mixture, with 1 .. k clusters.

    `entropies[g - 1]` is the entropy with g clusters, `labels[g - 1]` the cluster, 0 .. g − 1, of
    each component. `labels[g - 1][model.predict(params, x)]` are clusters of rows; responsibilities
    of a cluster are the sum of those of its components.
    """

    merges: np.ndarray  # i[k - 1, 2], the two clusters of each step from g = k down, by label
    entropies: np.ndarray  # f[k]
    labels: np.ndarray  # i[k, k]


def merge_components(
    model: Mixture, params: MixtureParams, x: ArrayLike, sample_weight: ArrayLike | None = None
) -> Merging:
    """From k clusters down to one, join the two whose union lowers the entropy of the
    responsibilities of rows x f[n, d] most (host).

    The density stays that of the mixture; only the assignment of components to clusters changes. An
    elbow of the entropies over the number of clusters suggests a number. Any family. Raises
    ValueError for parameters of several fits.
    """
    one_fit(params, "merge_components")
    with precision_of(np.asarray(params.weights).dtype):
        data = as_data(jnp.asarray(x, jnp.asarray(params.weights).dtype), sample_weight)
        share = np.asarray(model.predict_proba(params, data.x), float)
    weight = np.asarray(data.weight, float)
    k = share.shape[1]
    label = np.arange(k)
    labels, entropies, merges = [label], [], []
    columns = list(share.T)
    entropy = [_entropy(column, weight) for column in columns]
    gain = np.full((k, k), -np.inf)
    for i, j in zip(*np.triu_indices(k, 1), strict=True):
        gain[i, j] = entropy[i] + entropy[j] - _entropy(columns[i] + columns[j], weight)
    while True:
        entropies.append(sum(entropy))
        if len(columns) == 1:
            break
        i, j = np.unravel_index(np.argmax(gain), gain.shape)  # i < j
        merges.append((i, j))
        label = np.where(label == j, i, label - (label > j))
        labels.append(label)
        columns[i] = columns[i] + columns.pop(j)
        entropy.pop(j)
        entropy[i] = _entropy(columns[i], weight)
        gain = np.delete(np.delete(gain, j, 0), j, 1)
        for other in range(len(columns)):
            if other != i:
                value = entropy[other] + entropy[i] - _entropy(columns[other] + columns[i], weight)
                gain[min(other, i), max(other, i)] = value
    pairs = np.array(merges, int).reshape(-1, 2)
    return Merging(pairs, np.array(entropies[::-1]), np.array(labels[::-1]))


def _entropy(share: np.ndarray, weight: np.ndarray) -> float:
    """−Σ w t log t, 0 log 0 = 0."""
    return -float(np.dot(weight, share * np.log(np.where(share > 0, share, 1))))
