"""Many EM runs at once: lanes packed into buckets, on threads and devices, with checkpoints.

May import: the rooms up to engine. Look first at `scheduler` (`advance`), then `packing` and
`lanes`, which holds the compiled programs.
"""
