"""Names for the types of arguments. An alias of `Any` says what is meant where no class can: a
pytree that a model chooses itself, or a class of a room that core cannot import."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike

Array = jax.Array | np.ndarray  #: an array of JAX, or of NumPy where data are on the host
DType = DTypeLike  #: float32 or float64, by name, type or dtype
Number = jax.Array | np.ndarray | np.number | float  #: a number, or an array of numbers
Flag = jax.Array | np.ndarray | bool  #: true or false, or an array of such
Size = jax.Array | int  #: a whole number, traced or not

#: Adds up an array over the processes that hold rows of one data set.
Total = Callable[[np.ndarray], np.ndarray]

PyTree = Any  #: any JAX pytree
Params = Any  #: parameters of a model or family: a pytree dataclass with named fields
Stats = Any  #: statistics of a model: a pytree, linear in the weights of the units
PreparedData = Any  #: what `Model.prepare` returns: a pytree with fields `weight` and `base`
FitData = Any  #: data of one fit: `jaxem.data.Data`, or an array for the methods that take one
FitScaling = Any  #: `jaxem.data.scaling.Scaling`, the change of units of one fit
Init = Any  #: how a fit starts: the name of an initialiser, a callable, an array or parameters
Rows = Any  #: rows, weights or labels from a caller: whatever `np.asarray` takes, or `Data`
Device = Any  #: a device of JAX; checkers take `jax.Device` for a variable
Devices = Any  #: devices as a caller names them: `jaxem.devices.placement.placement_of`
JSON = Any  #: a value of `json.loads`
