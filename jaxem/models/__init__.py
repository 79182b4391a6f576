"""Models that EM fits: `Mixture` over any family, with its steps, starts and health.

May import: the rooms up to families. Names no family. Look first at `mixture`.
"""

from jaxem.models.mixture import Mixture as Mixture
from jaxem.models.params import MixtureParams as MixtureParams
