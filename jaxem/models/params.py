"""What a mixture's methods hand to one another: parameters, and the data made ready."""

from typing import Any

import jax

from jaxem.core.model_protocol import Compute
from jaxem.core.pytree import pytree, static
from jaxem.kernels import Blocks


@pytree
class MixtureParams:
    """Weights f[k] and the family's own parameters, which also answer by name (`.means`).

    >>> weights, rates = np.array([0.25, 0.75]), np.array([[1.0], [5.0]])
    >>> params = jaxem.MixtureParams(weights, jaxem.PoissonParams(rates))
    >>> params.rates is params.components.rates
    True
    """

    weights: jax.Array  #: f[k]
    components: Any

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("weights", "components"):
            raise AttributeError(name)
        return getattr(self.components, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *vars(self.components)]


@pytree
class Prepared:
    """What the E-step needs of the data, computed once outside the loop."""

    blocks: Blocks
    base: jax.Array  # f[], Σ w log h(x) over all rows
    known: jax.Array  # f[k, p], moments of the rows whose component is known
    common: jax.Array  # f[c], Σ w ψ(x) over all rows
    weight: jax.Array  # f[], total weight
    rows: jax.Array  # f[], rows of positive weight
    scaling: Any = None  # of the rows; None: as they were given
    mesh: Any = static(default=None)  # devices that the rows are spread over
    compute: Compute = static(default=Compute())
