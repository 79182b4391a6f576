"""Models: four pure functions over any family."""

from jaxem.models.mixture import Mixture as Mixture
from jaxem.models.mixture import kept as kept
from jaxem.models.values import MixtureParams as MixtureParams
