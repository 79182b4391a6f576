"""The search over starts: the race, split and merge, winners, float64 polishing.

May import: the rooms up to batch. Look first at `driver`.
"""
