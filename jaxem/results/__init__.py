"""Results of fits: values, statuses, distinct optima, criteria, tables.

May import: core, numerics, data. Look first at `fit` (`Fit`), then `report` (`Report`).
"""

from jaxem.results.fit import Fit as Fit
from jaxem.results.report import Report as Report
