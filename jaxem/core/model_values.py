"""Values that a model and the engine exchange: how to compute, the cost of a step, health."""

from dataclasses import dataclass

from jaxem.core.status import Status
from jaxem.core.trees import pytree
from jaxem.core.types import Flag, Number

#: Rows per block where the number of lanes is not known.
BLOCK_ROWS = 2048


@dataclass(frozen=True)
class Compute:
    """How to compute; not part of the model. Static: each value compiles a program of its own."""

    kernel: str = "blocked"  # "blocked", "fused" or "reference"; models without kernels ignore it
    precision: str = "float32"  # of float32 products: "float32", "tf32x3" or "bf16x3"


DEFAULT_COMPUTE = Compute()


@dataclass(frozen=True)
class Cost:
    """Memory of an E-step of one fit, in numbers; sizes of buckets and blocks follow from it.

    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=3)
    >>> model.cost(2, np.float32)  # three responsibilities per row; features 1, x, y, xx, xy, yy
    Cost(per_unit=3, features=6)
    """

    per_unit: int  #: numbers per unit and fit, such as K responsibilities
    features: int  #: numbers per unit that all fits of one data set share, such as P features


@pytree
class Health:
    """Judgement of parameters and their statistics; by default all is well.

    >>> bool(jaxem.Health().spurious)
    False
    """

    #: i[], RUNNING, or a status that names the fault (SINGULAR, ...)
    status: Number = int(Status.RUNNING)
    spurious: Flag = False  #: b[], at a spurious maximum of the likelihood; never a winner
    near_spurious: Flag = False  #: b[], near a spurious maximum, by stricter limits
    condition: Number = 0.0  #: f[], estimated error of a log density in `expect`, in roundoffs
    monotone: Flag = True  #: b[], whether a plain EM step can only raise the objective
