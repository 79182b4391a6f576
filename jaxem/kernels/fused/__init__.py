"""The fused GPU kernel: E-step products, softmax and sums in one pass over the rows.

May import: core, numerics and the files of kernels. Look first at `launch`. It imports Pallas,
which takes a fifth of a second: `dispatch` imports it where this kernel runs.
"""
