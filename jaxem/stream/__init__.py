"""Fits of rows that do not fit into memory: exact EM from sums over blocks that are read anew in
every iteration.

May import: core, numerics, data, results, devices, kernels, models, engine, batch, search.
Look first at `loop` (iterations, each of them one pass), then `passes` and `survey` (the first).
"""
