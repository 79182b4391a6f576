"""`criteria`: BIC, AIC and ICL of a fit."""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.capabilities import offered
from jaxem.core.compiled import jitted
from jaxem.core.model_protocol import Model, Paddable
from jaxem.core.precision import precision_of
from jaxem.core.program_memory import make_room
from jaxem.core.types import Params, Rows
from jaxem.data.blocks import ROWS, ahead
from jaxem.data.data import check_none_beside
from jaxem.data.ragged import FEWEST_VALUES, padded_length
from jaxem.data.row_files import is_rows, open_rows
from jaxem.results.fit import Fit

#: Rows up to which padding them costs less than compiling for another number.
SHORT = 1 << 16


@dataclass(frozen=True)
class Criteria:
    """Criteria of one fit, see `criteria`: lower is better, except `log_likelihood`.

    >>> jaxem.Criteria(log_likelihood=-100.0, n_parameters=5, bic=223.0, aic=210.0, icl=230.0).bic
    223.0
    """

    log_likelihood: float
    n_parameters: int
    bic: float
    aic: float
    icl: float  #: of the most probable components; NaN for a model without `predict_proba`
    icl_entropy: float | None = None  #: of the entropy; None where it was not computed


def criteria(model: Model, fit: Fit, x: Rows, sample_weight: Rows = None) -> Criteria:
    """BIC (Schwarz 1978), AIC (Akaike 1974) and ICL (Biernacki, Celeux, Govaert 2000) of one fit.

    BIC = p ln n − 2 ln L and AIC = 2p − 2 ln L, n the total weight. ICL = BIC − 2 Σ w ln max_k r,
    from the likelihood of each row with its most probable component, as in mclust. `icl_entropy` =
    BIC + 2 Σ w entropy(r), from the expectation over components, is never lower. All have the sign
    of scikit-learn: lower is better (mclust has the opposite). `fit` has no lane axis; x f[n, d],
    or rows that need not fit into memory (`jaxem.open_rows`).
    A model without `predict_proba` has no ICL.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> best = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8).best()
    >>> round(jaxem.criteria(model, best, x).bic, 1)
    2322.2
    """
    blocks = _blocks(x, sample_weight)
    p = weight = entropy = doubt = 0.0
    known = hasattr(model, "predict_proba")
    make_room()
    for rows, w in blocks:
        p, weight = model.n_parameters(rows.shape[-1]), weight + w.sum()
        if known:
            with precision_of(np.asarray(fit.log_likelihood).dtype):
                r = _responsibilities_of(model, jax.tree.map(np.asarray, fit.params), rows)
            entropy -= float(w @ np.sum(r * np.log(np.maximum(r, 1e-300)), axis=1))
            doubt -= float(w @ np.log(np.max(r, axis=1)))
    likelihood = float(fit.log_likelihood)
    bic = float(p * np.log(weight) - 2 * likelihood)
    aic = 2 * p - 2 * likelihood
    if not known:
        return Criteria(likelihood, int(p), bic, aic, np.nan)
    return Criteria(likelihood, int(p), bic, aic, bic + 2 * doubt, bic + 2 * entropy)


def _blocks(x: Rows, sample_weight: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows f[m, d] and their weights f[m], all at once or block by block."""
    if is_rows(x):
        check_none_beside(sample_weight, None, "RowBlocks")
        for block in ahead(open_rows(x).blocks(ROWS)):
            yield np.asarray(block.x), np.asarray(block.weight, float)
        return
    rows = np.asarray(x)
    rows = rows[:, None] if rows.ndim == 1 else rows
    yield rows, np.ones(len(rows)) if sample_weight is None else np.asarray(sample_weight, float)


def _responsibilities_of(model: Model, params: Params, rows: np.ndarray) -> np.ndarray:
    """Responsibilities f[n, k], computed in sizes that small problems share: another number of rows
    or one component more compile nothing."""
    n, paddable = len(rows), offered(model, Paddable)
    if n <= SHORT:
        rows = np.concatenate([rows, np.repeat(rows[:1], padded_length(n) - n, axis=0)])
    k = 0 if paddable is None else paddable.size()
    if paddable is not None and k < FEWEST_VALUES and paddable.can_pad("k-means++"):
        params = paddable.filled(params, FEWEST_VALUES)
        model = paddable.padded(FEWEST_VALUES)
    found = np.asarray(_responsibilities(model, params, jnp.asarray(rows)), float)
    return found[:n, : k or None]


@jitted
def _responsibilities(model, params, x):
    return model.predict_proba(params, x)
