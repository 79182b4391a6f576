"""Latent-variable models by EM, thousands of fits at once, on CPU, GPU or TPU."""

from jaxem import distributed as distributed
from jaxem import tools as tools
from jaxem._version import __version__ as __version__
from jaxem.clock import enable_compilation_cache as enable_compilation_cache
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
from jaxem.infer import standard_errors as standard_errors
from jaxem.io import load as load
from jaxem.io import save as save
from jaxem.loop import em as em
from jaxem.many import fit_many as fit_many
from jaxem.models import Mixture as Mixture
from jaxem.models import MixtureParams as MixtureParams
from jaxem.priors import Beta as Beta
from jaxem.priors import Dirichlet as Dirichlet
from jaxem.priors import Gamma as Gamma
from jaxem.protocols import Statistics as Statistics
from jaxem.result import Fit as Fit
from jaxem.result import Report as Report
from jaxem.select import Criteria as Criteria
from jaxem.select import Sweep as Sweep
from jaxem.select import criteria as criteria
from jaxem.select import sweep as sweep
from jaxem.shard import place_rows as place_rows
from jaxem.shard import shard_rows as shard_rows
from jaxem.status import Status as Status

#: Not offered by tab completion: the modules behind the names, which import as ever.
_OFFERED = "convert", "datasets", "distributed", "families", "plot", "sklearn", "tools"


def __dir__() -> list[str]:
    """The public names, for tab completion."""
    module = type(tools)
    return sorted(
        name
        for name, value in globals().items()
        if name.startswith("__")
        or name in _OFFERED
        or not (name.startswith("_") or isinstance(value, module))
    )
