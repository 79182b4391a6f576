"""Data for the engine: rows with weights and labels, changes of units, data sets by length.

May import: core, numerics. Look first at `data` (`Data`, `as_data`), then `scaling`, which maps
between the units of the data and the standard units of the computation.
"""

from jaxem.data.data import Data as Data
