"""Classical data that ship with the package.

old_faithful: 272 eruptions, duration and waiting time in minutes (Azzalini and Bowman 1990,
Applied Statistics 39, 357-365). galaxies: velocities of 82 galaxies, 1000 km/s (Roeder 1990,
JASA 85, 617-624). diabetes: glucose, insulin and sspg of 145 subjects (Reaven and Miller 1979,
Diabetologia 16, 17-24).

A guest without imports; this file reads the tables.
"""

from importlib.resources import files

import numpy as np

_COLUMNS = {
    "old_faithful": ["eruptions", "waiting"],
    "galaxies": ["velocity"],
    "diabetes": ["glucose", "insulin", "sspg"],
}


def names() -> list[str]:
    """The data sets that `load` knows."""
    return list(_COLUMNS)


def columns(name: str) -> list[str]:
    """Column names of a data set; ValueError for an unknown name."""
    if name not in _COLUMNS:
        raise ValueError(f"No data set {name!r}; choose from {', '.join(_COLUMNS)}.")
    return list(_COLUMNS[name])


def load(name: str) -> np.ndarray:
    """A data set f64[n, d]; ValueError for an unknown name."""
    d = len(columns(name))
    text = (files("jaxem.datasets") / f"{name}.csv").read_text().splitlines()[1:]
    return np.array([[float(cell) for cell in line.split(",")[:d]] for line in text])
