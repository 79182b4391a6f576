"""Kernels: the E-step of a mixture, a softmax between two matrix products, in several versions.

May import: core, numerics, devices. Look first at `reference` (what is computed), then `dispatch`
(which implementation runs), `blocked` (CPU and general) and `fused` (GPU).
"""

from jaxem.kernels.blocked import SOFT as SOFT
from jaxem.kernels.blocked import Assignment as Assignment
from jaxem.kernels.blocked import Blocks as Blocks
from jaxem.kernels.blocked import as_blocks as as_blocks
from jaxem.kernels.blocked import as_one_block as as_one_block
from jaxem.kernels.blocked import blocked_moments as blocked_moments
from jaxem.kernels.blocked import recut as recut
from jaxem.kernels.blocked import softmax_step as softmax_step
from jaxem.kernels.blocked import weighted_moments as weighted_moments
from jaxem.kernels.blocked import with_features as with_features
from jaxem.kernels.blocked import with_known as with_known
from jaxem.kernels.dispatch import KERNELS as KERNELS
from jaxem.kernels.dispatch import choose as choose
from jaxem.kernels.dispatch import softmax_moments as softmax_moments
from jaxem.kernels.fused.tiling import padded_rows as padded_rows
from jaxem.kernels.fused.tiling import row_layout as row_layout
from jaxem.kernels.reference import softmax_moments_reference as softmax_moments_reference
