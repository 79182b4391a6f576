"""One EM run: the step, the stopping rules, the accelerators, and `em`, which loops over steps.

May import: core, numerics, data, results, devices, kernels, models. `steps`, `stopping` and
`accelerators` name no model and no family. Look first at `steps`.
"""
