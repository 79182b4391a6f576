"""What the engine's programs are lowered to for a platform, which need not be there."""

import jax
import numpy as np
from problems import platform_of

import jaxem
from jaxem.batch import lanes, planning
from jaxem.batch.grid import Grid
from jaxem.batch.planning import Shape
from jaxem.data.scaling import Scaling
from jaxem.engine.finish import cast
from jaxem.engine.steps import Control

F32 = np.float32


def engine_programs(
    platform, family, d, accelerate=None, init="k-means++", precision="float32", kernel=None
):
    """The kernel chosen there, and the engine's programs of 64 float32 fits as text; none runs."""
    kind = {"cuda": "gpu"}.get(platform, platform)
    model = cast(jaxem.Mixture(family, n_components=3), F32)
    data = jaxem.Data(jax.ShapeDtypeStruct((2000, d), F32), jax.ShapeDtypeStruct((2000,), F32))
    compute = model.compute_for(data, 64, kernel, precision, kind)
    cost = model.cost(d, F32)
    plan = planning.plan_batch(Shape(2000, cost, 64, 1, 4), 1 << 28, kind)
    prepared = jax.eval_shape(lambda data: model.prepare(data, plan.rows, compute), data)
    scaling = Scaling(np.zeros(d, F32), np.ones(d, F32))
    grid = Grid(model, data, prepared, scaling, shared=True, compute=compute)
    number = np.zeros(plan.bucket, np.int32)
    control = Control(F32(1e-6), 500, True, "log_likelihood", accelerate)

    def lower(program, *arguments):
        with platform_of(platform):
            traced = program.on(kind).trace(grid, *arguments)
            return traced.lower(lowering_platforms=(platform,))

    def shapes(lowered):
        struct = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)  # noqa: E731
        return jax.tree.map(struct, lowered.out_info)

    ids = lanes.LaneIds(number, number, number)
    draw = lanes.Draw(jax.random.key(0), None, init, plan.at_once)
    drawn = lower(lanes.draw_starts, ids, draw, control)
    runs = shapes(drawn)
    started = lower(lanes.start, number, runs.point.params, control)
    ended = lower(lanes.conclude, number, runs, control)
    programs = dict(seed=drawn, begin=started, conclude=ended)
    programs["advance"] = lower(lanes.advance, number, control, lanes.Until(500), runs)
    return compute.kernel, {name: program.as_text() for name, program in programs.items()}
