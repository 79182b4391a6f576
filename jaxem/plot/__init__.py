"""Pictures of data and fits. Each function draws one idea on a matplotlib axis you give it."""

from jaxem.plot.classified import classified as classified
from jaxem.plot.classified import data as data
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
from jaxem.plot.summary import fit_figure as fit_figure
