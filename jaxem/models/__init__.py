"""Models: what an EM run fits. `Mixture` over any family, its steps, starts and health.

May import: the rooms up to families. Names no family. Look first at `mixture`.
"""

from jaxem.models.mixture import Mixture as Mixture
from jaxem.models.mixture_steps import kept as kept
from jaxem.models.params import MixtureParams as MixtureParams
