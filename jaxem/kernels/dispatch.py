"""`choose`, the kernel for a problem; `softmax_moments`, the E-step by any of the kernels.

| where                                   | kernel  | why                                          |
|-----------------------------------------|---------|----------------------------------------------|
| CPU                                     | blocked | measured: 1.3 to 1.5 × the machine's best    |
|                                         |         | product for d ≥ 16, 1.5 to 2.2 × its own     |
|                                         |         | two products below (`bench step`)            |
| TPU and others                          | blocked | the fused kernel is written for GPUs         |
| GPU, float32, P ≤ 91 (full d ≤ 12,      | fused   | measured on an H200, G responsibilities/s at |
| diagonal d ≤ 45)                        |         | K = 8: 928, 459, 151, 99, 81 against 137,    |
|                                         |         | 135, 100, 78, 75 for P = 6, 15, 45, 66, 91   |
|                                         |         | (`bench devices`)                            |
| GPU, float32, P > 91                    | blocked | coefficients and sums of one component fill  |
|                                         |         | a thread's registers: the matrix library     |
|                                         |         | decides. 71, 51 and 19 G/s at P = 105, 153   |
|                                         |         | and 561                                      |
| GPU, padded K · P > 2944 (float64 1472) | blocked | a warp has no room for the sums of a lane;   |
|                                         |         | by matrix products on chip 20 against 71 G/s |
|                                         |         | (P = 105)                                    |
| GPU, float64, P ≤ 16                    | fused   | twice the bytes, so fusion saves twice as    |
|                                         |         | much; no matrix unit involved. Not measured  |
| GPU, float64, P > 16                    | blocked | the library feeds float64 matrix units,      |
|                                         |         | which the fused kernel may not. Not measured |
| GPU older than compute capability 7.5,  | blocked | Pallas' compiler does not know it; the fused |
| a JAX without Pallas for Triton         |         | kernel is written for it                     |

No line depends on the number of lanes: with one lane of 50,000 rows the two kernels take equally
long. `choose` asks for it because later measurements may differ. "reference" holds n × k numbers in
memory, as in a textbook: for tests.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.core.model_values import DEFAULT_COMPUTE, Compute
from jaxem.core.types import DType
from jaxem.kernels.blocked import SOFT, Assignment, Blocks, blocked_moments
from jaxem.kernels.fused.tiling import PLAIN_FEATURES, Pairs, plan
from jaxem.kernels.reference import softmax_moments_reference
from jaxem.numerics import check_precision

KERNELS = ("reference", "blocked", "fused")

#: Names of GPU platforms, by `jax.default_backend()` and in lowering rules.
GPUS = ("gpu", "cuda", "rocm")

#: Features up to which fusion pays, by itemsize.
FUSED_FEATURES = {4: PLAIN_FEATURES, 8: 16}

#: The oldest compute capability that Pallas' compiler knows.
OLDEST = 7.5


def choose(
    platform: str,
    n_components: int,
    n_features: int,
    lanes: int,
    dtype: DType,
    kernel: str | None = None,
) -> str:
    """The kernel for `lanes` fits of K components with P features; `kernel` overrules the table."""
    if kernel is not None:
        if kernel not in KERNELS:
            raise ValueError(f"kernel must be one of {', '.join(KERNELS)}; got {kernel!r}.")
        return kernel
    if platform not in GPUS or not _available() or _too_old():
        return "blocked"
    narrow = n_features <= FUSED_FEATURES.get(np.dtype(dtype).itemsize, 0)
    tile = plan(n_components, n_features, lanes, dtype) if narrow else None
    return "fused" if tile is not None and tile.path == "plain" else "blocked"


def _available() -> bool:
    """Whether this JAX has Pallas for Triton."""
    from jaxem.kernels.fused.triton import AVAILABLE

    return AVAILABLE


def _too_old() -> bool:
    """Whether a GPU of this process is older than `OLDEST`. The capability of an AMD GPU is a name
    such as "gfx90a", and a CPU has none: these are not too old."""
    told = (str(getattr(device, "compute_capability", None)) for device in jax.local_devices())
    return any(float(text) < OLDEST for text in told if text.replace(".", "", 1).isdigit())


def softmax_moments(
    features: Callable[[jax.Array], jax.Array],
    beta: jax.Array,
    blocks: Blocks,
    reference: jax.Array,
    assignment: Assignment = SOFT,
    compute: Compute = DEFAULT_COMPUTE,
    products: Pairs | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Moments f[k, p] and Σ w (logsumexp_k − reference) f[] by the kernel of `compute`, with its
    precision of float32 products where the device has it; ValueError for an unknown kernel or
    precision.

    `products`: the features as pairs of the atoms [1, x], which the fused kernel multiplies on
    chip; without them it reads features that are computed before.
    """
    kernel, precision = compute.kernel, compute.precision
    check_precision(precision)
    if kernel == "blocked":
        return blocked_moments(features, beta, blocks, reference, assignment, precision)
    if kernel == "fused":
        from jaxem.kernels.fused.launch import fused_moments

        rows, products = _atoms(features, blocks, products)
        weight = blocks.weight.reshape(-1)
        return fused_moments(products, beta, rows, weight, reference, assignment, precision)
    if kernel != "reference":
        raise ValueError(f"kernel must be one of {', '.join(KERNELS)}; got {kernel!r}.")
    weight = blocks.weight.reshape(-1)
    phi = _side_by_side(_features(features, blocks))
    scale = 1.0 if assignment.exponent is None else assignment.exponent
    moments, total = softmax_moments_reference(phi, beta, weight, scale, assignment.hard)
    return moments, total - reference * jnp.sum(weight)


def _atoms(features, blocks: Blocks, products: Pairs | None) -> tuple[jax.Array, Pairs]:
    """The atoms f[a, n] that the fused kernel reads, and their pairs: atoms are the columns of x
    where there are `products`, else the features."""
    if products is not None:
        return _side_by_side(blocks.columns), products
    rows = _side_by_side(_features(features, blocks))
    return rows, tuple((0, p + 1) for p in range(rows.shape[0]))


def _features(features, blocks: Blocks) -> jax.Array:
    """φ f[b, p, m]."""
    if blocks.phi is not None:
        return blocks.phi
    return jax.vmap(lambda columns: features(columns.T))(blocks.columns)


def _side_by_side(parts: jax.Array) -> jax.Array:
    """f[b, a, m] as f[a, b·m]: no copy for a single block."""
    return jnp.moveaxis(parts, 0, 1).reshape(parts.shape[1], -1)
