"""`Problem`: one model and its data sets, judged, in standard units, on the devices.

`fit` poses one data set, whose rows all lanes share; `fit_many` poses several of one length, each
with lanes of its own, or several that share their rows and differ in their weights. From a
`Problem` on, all public functions run the same code.
"""

import math
from dataclasses import dataclass, replace
from functools import partial

import jax
import numpy as np

from jaxem.batch import planning
from jaxem.batch.grid import Grid, prepare, with_scaling
from jaxem.batch.padding import is_brief
from jaxem.batch.planning import Plan, Shape
from jaxem.batch.state import Batch
from jaxem.core import trees
from jaxem.core.capabilities import offered
from jaxem.core.compiled import jitted
from jaxem.core.model_protocol import Compute, Model, Paddable, Rescalable
from jaxem.core.settings import DEFAULT_SETTINGS, Settings
from jaxem.core.types import DType, Total
from jaxem.data import ragged
from jaxem.data.data import Data
from jaxem.data.scaling import Scaling, standardize
from jaxem.devices import distributed
from jaxem.devices.placement import DEFAULT, Placement
from jaxem.devices.rows import as_label, on_all, over_processes, spread_data
from jaxem.engine.finish import in_standard_units
from jaxem.engine.loop import compute_for
from jaxem.engine.steps import Control
from jaxem.kernels import row_layout


@dataclass(frozen=True)
class Resources:
    """What a call may use: memory in bytes (None: a share of the device's), devices, and the kernel
    and precision that were asked for."""

    memory_limit: int | None = None
    placement: Placement = DEFAULT
    asked: Settings = DEFAULT_SETTINGS
    pad_to: int | None = None  # number of latent values to compute; None: that of the model
    room: int | None = None  # number of lanes to compute; None: that of the call


@dataclass(frozen=True)
class Problem:
    """One model and the data sets of one call that run in the same programs."""

    model: Model  # in the units of the data
    host: list[Data]  # the data sets as they were given, judged, on the host
    data: Data  # in standard units on the devices, x f[n, d], or f[s', m, d] where not `shared`
    scaling: Scaling  # f[d], or f[s, d] where not `shared`
    numbers: np.ndarray  # i[s], numbers of the data sets in the call, for the random keys; s ≤ s'
    shared: bool  # all lanes share the rows of x; several data sets then have weights f[s, n]
    of_many: bool = False  # whether the call is of several data sets
    reported: DType | None = None  # of the reported fits; None for that of the data

    @property
    def size(self) -> int:
        """Responsibilities of an E-step of the first data set, of its rows as they were given."""
        cost = self.model.cost(self.data.x.shape[-1], self.data.x.dtype)
        whole = self.data.mesh is None  # else the host has the rows of one process
        return (len(self.host[0].x) if whole else self.data.x.shape[0]) * cost.per_unit

    def alone(self, i: int) -> "Problem":
        """The i-th data set by itself, its rows shared by all its lanes."""
        data, scaling = jax.tree.map(lambda leaf: leaf[i], (self.data, self.scaling))
        host, numbers = self.host[i : i + 1], self.numbers[i : i + 1]
        return replace(self, host=host, data=data, scaling=scaling, numbers=numbers, shared=True)


def pose(
    model: Model, data: Data, dtype: DType, rows: int | None = None, reported: DType | None = None
) -> Problem:
    """The problem of one data set, in float64 or float32 (`dtype`), padded to `rows` by rows of
    weight 0 (None: as it is). Fits are reported in `reported` (None: in the same dtype)."""
    host, label = data, as_label(data.label)
    x, weight = np.asarray(data.x, dtype), np.asarray(data.weight, dtype)
    if rows is not None and rows > len(x):
        x, weight, label = ragged.pad([data], rows, dtype)
        x, weight, label = x[0], weight[0], None if label is None else label[0]
    total = distributed.total if over_processes(data.mesh) else None
    scalings = _scalings(model, x[None], weight[None], total)
    scaling = Scaling(scalings.shift[0], scalings.scale[0])
    z = standardize(x, scaling)
    if data.mesh is None:
        label = None if label is None else jax.device_put(label)
        placed = Data(jax.device_put(z), jax.device_put(weight), label)
    else:
        placed = spread_data(data.mesh, z, weight, label)
    return Problem(model, [host], placed, scaling, np.zeros(1, int), True, reported=reported)


def pose_many(
    model: Model,
    sets: list[Data],
    numbers: np.ndarray,
    length: int,
    dtype: DType,
    room: int = 0,
    reported: DType | None = None,
) -> Problem:
    """The problem of several data sets, padded to one length by rows of weight 0, and to `room`
    data sets by copies of the first. `reported` as in `pose`."""
    copies = sets[:1] * (room - len(sets))
    x, weight, label = ragged.pad(sets + copies, length, dtype)
    scaling = _scalings(model, x, weight, None)
    z = standardize(x, scaling, out=x)
    known = None if label is None else jax.device_put(label)
    data = Data(jax.device_put(z), jax.device_put(weight), known)
    return Problem(
        model, sets, data, scaling, numbers, shared=False, of_many=True, reported=reported
    )


def pose_weights(model: Model, sets: list[Data], numbers: np.ndarray, dtype: DType) -> Problem:
    """The problem of data sets that share x and label and differ in their weights. Their standard
    units are those of their sum."""
    x = np.asarray(sets[0].x, dtype)
    weight = np.stack([np.asarray(data.weight, dtype) for data in sets])
    scalings = _scalings(model, x[None], weight.sum(axis=0)[None], None)
    scaling = Scaling(scalings.shift[0], scalings.scale[0])
    label = as_label(sets[0].label)
    known = None if label is None else jax.device_put(label)
    data = Data(jax.device_put(standardize(x, scaling)), jax.device_put(weight), known)
    return Problem(model, sets, data, scaling, numbers, shared=True, of_many=True)


def _scalings(model: Model, x: np.ndarray, weight: np.ndarray, total: Total | None) -> Scaling:
    """The scalings f[s, d] of x f[s, n, d]; shift 0 and scale 1 for models that are not
    `Rescalable`. `total` adds arrays up over processes."""
    rescalable = offered(model, Rescalable)
    if rescalable is not None:
        return rescalable.host_scaling(x, weight, total)
    shape = len(x), x.shape[-1]
    return Scaling(np.zeros(shape, x.dtype), np.ones(shape, x.dtype))


def batch_of(
    problem: Problem,
    n_starts: int,
    control: Control,
    resources: Resources,
    room: int | None = None,
    groups: np.ndarray | None = None,
) -> Batch:
    """The batch of `n_starts` lanes for every data set. Sizes are those for `room` lanes of each
    (None: `n_starts`), so that calls with fewer lanes run the same programs. `groups` i[lanes],
    ascending: the data set of each lane, where they are not `n_starts` of each."""
    sets, placement = len(problem.numbers), resources.placement
    model, active = _padded(problem.model, resources.pad_to)
    room = max(n_starts, resources.room or 0) if room is None else room
    groups = np.repeat(np.arange(sets), n_starts) if groups is None else groups
    starts = np.arange(groups.size) - np.searchsorted(groups, groups)
    compute = compute_for(model, problem.data, room, resources.asked, placement.platform)
    plan = plan_of(problem, model, compute, room, resources)
    if problem.shared:
        grid = _shared_grid(model, problem, compute, placement, plan.rows)
    else:
        grid = _grid_of_many(model, problem, compute, placement, plan.rows)
    grid = trees.replace(grid, brief=is_brief(model, problem.data, plan.bucket))
    numbers = problem.numbers[groups]
    reported = problem.reported
    return Batch(grid, control, plan, groups, starts, numbers, placement, active, reported)


def _padded(model: Model, size: int | None) -> tuple[Model, int | None]:
    """The model with `size` latent values (None: its own number), and the number of them that are
    on (None for all)."""
    paddable = offered(model, Paddable)
    if size is None or paddable is None:
        return model, None
    active = paddable.size()
    return (model if size == active else paddable.padded(size)), active


def plan_of(
    problem: Problem, model: Model, compute: Compute, n_starts: int, resources: Resources
) -> Plan:
    """The plan for `n_starts` lanes of every data set."""
    data, placement = problem.data, resources.placement
    n = data.x.shape[0] if problem.shared else data.x.shape[1]
    n = n if data.mesh is None else -(-n // data.mesh.size)
    sets = len(problem.numbers) if problem.shared else len(data.x)
    cost = model.cost(data.x.shape[-1], data.x.dtype)
    unit = data.x.shape[1:] if problem.shared else data.x.shape[2:]
    cost = replace(cost, features=max(cost.features, math.prod(unit)))
    chunks = row_layout(n)[0] if compute.kernel == "fused" else 0
    shape = Shape(n, cost, n_starts, sets, data.x.dtype.itemsize, problem.shared, chunks)
    return planning.plan_batch(shape, resources.memory_limit, placement.platform, placement.devices)


def _shared_grid(
    model: Model, problem: Problem, compute: Compute, placement: Placement, rows: int
) -> Grid:
    data = problem.data
    inner = in_standard_units(model, problem.scaling, data.x.dtype)
    inner, scaling = on_all(data.mesh, (inner, problem.scaling))
    grid = Grid(inner, data, None, scaling, shared=True, compute=compute)
    return placement.replicate(prepare(grid, rows))


def _grid_of_many(
    model: Model, problem: Problem, compute: Compute, placement: Placement, rows: int
) -> Grid:
    scaling = jax.device_put(problem.scaling)
    models, prepared = _prepare_each(model, scaling, problem.data, rows, compute)
    grid = Grid(models, problem.data, prepared, scaling, shared=False, compute=compute)
    return placement.replicate(grid)


@partial(jitted, static_argnames=("rows", "compute"))
def _prepare_each(model, scaling, data, rows, compute):
    def of_one(scaling, data):
        inner = in_standard_units(model, scaling, data.x.dtype)
        return inner, with_scaling(inner, inner.prepare(data, rows, compute), scaling)

    return jax.vmap(of_one)(scaling, data)
