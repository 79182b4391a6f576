"""Pictures of data and fits. Each function draws one idea on a matplotlib axis you give it.

`fits.plot` and `sweep.plot` call them for you: see `FitPlots` and `SweepPlots`.
"""

from jaxem.plot.accessor import FitPlots as FitPlots
from jaxem.plot.accessor import SweepPlots as SweepPlots
from jaxem.plot.classified import classified as classified
from jaxem.plot.classified import data as data
from jaxem.plot.clouds import clouds as clouds
from jaxem.plot.curves import bic as bic
from jaxem.plot.curves import objective as objective
from jaxem.plot.curves import parameter_paths as parameter_paths
from jaxem.plot.curves import sweep as sweep
from jaxem.plot.density import contours as contours
from jaxem.plot.density import surface as surface
from jaxem.plot.histogram import histogram as histogram
from jaxem.plot.page import COLOURS as COLOURS
from jaxem.plot.page import new_figure as new_figure
from jaxem.plot.page import save as save
from jaxem.plot.profile import profile as profile
from jaxem.plot.responsibilities import responsibilities as responsibilities
from jaxem.plot.spread import criterion as criterion
from jaxem.plot.starts import starts as starts
from jaxem.plot.starts import traces as traces
from jaxem.plot.summary import fit_figure as fit_figure
