"""Names for the types of arguments. An alias of `Any` says what is meant where no class can: a
pytree that a model chooses itself, or a class of a room that core cannot import."""

from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike

Array = jax.Array | np.ndarray  #: an array of JAX, or of NumPy where data are on the host
DType = DTypeLike  #: float32 or float64, by name, type or dtype

PyTree = Any  #: any JAX pytree
Params = Any  #: parameters of a model or family: a pytree dataclass with named fields
Stats = Any  #: statistics of a model: a pytree, linear in the weights of the units
PreparedData = Any  #: what `Model.prepare` returns: a pytree with fields `weight` and `base`
FitData = Any  #: data of one fit: `jaxem.data.Data`, or an array for the methods that take one
FitScaling = Any  #: `jaxem.data.scaling.Scaling`, the change of units of one fit
Init = Any  #: how a fit starts: the name of an initialiser, a callable, an array or parameters
Rows = Any  #: rows, weights or labels from a caller: whatever `np.asarray` takes, or `Data`
Devices = Any  #: devices as a caller names them: `jaxem.devices.placement.placement_of`
JSON = Any  #: a value of `json.loads`
