"""The fused GPU kernel: E-step products, softmax and sums in one pass over the rows.

May import: core, numerics and the files of kernels. Look first at `launch`.
"""

from jaxem.kernels.fused.launch import fused_moments as fused_moments
