"""Tools for fitted mixtures: parts of a mixture, comparisons of two, reading of components.

`marginal`, `conditional`, `regress` (Gaussian mixture regression); `kl_divergence`, `kl_bounds`,
`mixture_wasserstein`; `merge_components`, `align`, `reorder`; `entropy`, `effective_components`.

Parameters in float64 are computed in float64, whatever JAX's default; the results are then NumPy
arrays. All functions work under the caller's `jit` and `vmap`, except those marked "(host)".

May import: every room up to inference. Look first at `alignment`.
"""

from jaxem.tools.alignment import Alignment as Alignment
from jaxem.tools.alignment import align as align
from jaxem.tools.alignment import reorder as reorder
from jaxem.tools.divergence import Bounds as Bounds
from jaxem.tools.divergence import Estimate as Estimate
from jaxem.tools.divergence import kl_bounds as kl_bounds
from jaxem.tools.divergence import kl_divergence as kl_divergence
from jaxem.tools.entropies import Entropy as Entropy
from jaxem.tools.entropies import effective_components as effective_components
from jaxem.tools.entropies import entropy as entropy
from jaxem.tools.merging import Merging as Merging
from jaxem.tools.merging import merge_components as merge_components
from jaxem.tools.regression import conditional as conditional
from jaxem.tools.regression import marginal as marginal
from jaxem.tools.regression import regress as regress
from jaxem.tools.wasserstein import Transport as Transport
from jaxem.tools.wasserstein import mixture_wasserstein as mixture_wasserstein
