"""Component families: features, coefficients and maximum-likelihood or MAP updates.

May import: core, numerics. Names no model. Look first at `exponential`; `independent` and `counts`
hold what such families share, `gaussian.structure` says what a covariance structure provides, and
the contract is `core.protocols.Family`.
"""

from jaxem.families.binomial import Bernoulli as Bernoulli
from jaxem.families.binomial import Binomial as Binomial
from jaxem.families.binomial import BinomialParams as BinomialParams
from jaxem.families.categorical import Categorical as Categorical
from jaxem.families.categorical import CategoricalParams as CategoricalParams
from jaxem.families.exponential import Exponential as Exponential
from jaxem.families.exponential import ExponentialParams as ExponentialParams
from jaxem.families.gaussian import Gaussian as Gaussian
from jaxem.families.gaussian import GaussianParams as GaussianParams
from jaxem.families.poisson import Poisson as Poisson
from jaxem.families.poisson import PoissonParams as PoissonParams
