"""Placement of lanes and rows: devices, meshes of rows, several processes.

May import: core, data. Look first at `placement` (lanes on devices), then `rows` (rows on devices).
"""
