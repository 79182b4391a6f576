"""Pictures of data and fits. Each function draws one idea on a matplotlib axis you give it.

`fits.plot` and `sweep.plot` call them for you: see `FitPlots` and `SweepPlots`.

A guest: may import any room. Look first at `accessor`.
"""

from jaxem.plot.accessor import FitPlots as FitPlots
from jaxem.plot.accessor import SweepPlots as SweepPlots
from jaxem.plot.criteria import bic as bic
from jaxem.plot.criteria import criterion as criterion
from jaxem.plot.criteria import sweep as sweep
from jaxem.plot.curves import objective as objective
from jaxem.plot.curves import parameter_paths as parameter_paths
from jaxem.plot.histograms import histogram as histogram
from jaxem.plot.membership import responsibilities as responsibilities
from jaxem.plot.parameters import clouds as clouds
from jaxem.plot.parameters import profile as profile
from jaxem.plot.start_paths import starts as starts
from jaxem.plot.start_paths import traces as traces
from jaxem.plot.style import COLOURS as COLOURS
from jaxem.plot.style import new_figure as new_figure
from jaxem.plot.style import save as save
from jaxem.plot.summary import fit_figure as fit_figure
from jaxem.plot.two_columns import classified as classified
from jaxem.plot.two_columns import contours as contours
from jaxem.plot.two_columns import data as data
from jaxem.plot.two_columns import surface as surface
