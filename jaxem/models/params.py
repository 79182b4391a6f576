"""Values that the methods of a mixture exchange: parameters, and prepared data."""

from collections.abc import Collection
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jaxem.core.model_protocol import Compute
from jaxem.core.protocols import Statistics
from jaxem.core.trees import pytree, replace, static
from jaxem.core.types import Params
from jaxem.data.scaling import Scaling
from jaxem.kernels import Blocks

A = TypeVar("A", jax.Array, np.ndarray)

#: What `Mixture.expect` returns: statistics, Σ w (log p(x) − reference) f[] without the base, and
#: the summed size of the terms of that sum f[].
Expected = tuple[Statistics, jax.Array, jax.Array]


@pytree
class MixtureParams:
    """Weights f[k] and the family's parameters, whose fields are also attributes here (`.means`).

    >>> weights, rates = np.array([0.25, 0.75]), np.array([[1.0], [5.0]])
    >>> params = jaxem.MixtureParams(weights, jaxem.PoissonParams(rates))
    >>> params.rates is params.components.rates
    True
    """

    weights: jax.Array  #: f[k]
    components: Params

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("weights", "components"):
            raise AttributeError(name)
        return getattr(self.components, name)

    def take(self, order: ArrayLike, shared: Collection[str] = ()) -> "MixtureParams":
        """The components numbered by `order`, in that order: i[m] for all lanes, or i[..., m] with
        an order for each lane. Parameters named in `shared` have no component axis and stay
        unchanged (`jaxem.core.constraints.shared_fields`)."""
        order, axis = np.asarray(order), np.ndim(self.weights) - 1

        def taken(leaf: A) -> A:
            if order.ndim == 1:
                return leaf[(slice(None),) * axis + (order,)]
            index = order.reshape(order.shape + (1,) * (np.ndim(leaf) - order.ndim))
            if isinstance(leaf, jax.Array):
                return jnp.take_along_axis(leaf, index, axis=axis)
            return np.take_along_axis(leaf, index, axis=axis)

        parts = {n: v for n, v in vars(self.components).items() if n not in shared}
        components = replace(self.components, **{n: taken(v) for n, v in parts.items()})
        return MixtureParams(taken(self.weights), components)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *vars(self.components)]


@pytree
class Prepared:
    """The data as the E-step reads them, computed once outside the loop."""

    blocks: Blocks
    base: jax.Array  # f[], Σ w log h(x) over all rows
    known: jax.Array  # f[k, p], moments of the rows whose component is known
    common: jax.Array  # f[c], Σ w ψ(x) over all rows
    weight: jax.Array  # f[], total weight
    rows: jax.Array  # f[], rows of positive weight
    scaling: Scaling | None = None  # of the rows; None: in the units of the data
    mesh: Mesh | None = static(default=None)  # devices that the rows are spread over
    compute: Compute = static(default=Compute())
