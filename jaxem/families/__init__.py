"""Component families: features, coefficients and maximum-likelihood or MAP updates."""

from jaxem.families.binomial import Bernoulli as Bernoulli
from jaxem.families.binomial import Binomial as Binomial
from jaxem.families.binomial import BinomialParams as BinomialParams
from jaxem.families.gaussian import Gaussian as Gaussian
from jaxem.families.gaussian import GaussianParams as GaussianParams
from jaxem.families.poisson import Poisson as Poisson
from jaxem.families.poisson import PoissonParams as PoissonParams
