"""Latent-variable models by EM, thousands of fits at once, on CPU, GPU or TPU."""

from jaxem._version import __version__ as __version__
from jaxem.data import Data as Data
from jaxem.families import Bernoulli as Bernoulli
from jaxem.families import Binomial as Binomial
from jaxem.families import BinomialParams as BinomialParams
from jaxem.families import Categorical as Categorical
from jaxem.families import CategoricalParams as CategoricalParams
from jaxem.families import Exponential as Exponential
from jaxem.families import ExponentialParams as ExponentialParams
from jaxem.families import Gaussian as Gaussian
from jaxem.families import GaussianParams as GaussianParams
from jaxem.families import Poisson as Poisson
from jaxem.families import PoissonParams as PoissonParams
from jaxem.families.gaussian.priors import NormalInverseGamma as NormalInverseGamma
from jaxem.families.gaussian.priors import NormalInverseWishart as NormalInverseWishart
from jaxem.fit import fit as fit
from jaxem.loop import em as em
from jaxem.models import Mixture as Mixture
from jaxem.models import MixtureParams as MixtureParams
from jaxem.priors import Beta as Beta
from jaxem.priors import Dirichlet as Dirichlet
from jaxem.priors import Gamma as Gamma
from jaxem.protocols import Statistics as Statistics
from jaxem.result import Fit as Fit
from jaxem.status import Status as Status
