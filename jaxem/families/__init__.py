"""Component families: features, coefficients and maximum-likelihood or MAP updates."""

from jaxem.families.gaussian import Gaussian as Gaussian
from jaxem.families.gaussian import GaussianParams as GaussianParams
