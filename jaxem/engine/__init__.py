"""One EM run: the step, the stopping rules, the accelerators, and `em`, which loops over steps.

May import: core, numerics, data, results, devices. Names no model and no family. Look first at
`steps`.
"""
