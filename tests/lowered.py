"""What the engine's programs are lowered to for a platform, which need not be there."""

import jax
import numpy as np
from problems import platform_of

import jaxem
from jaxem.batch import lanes
from jaxem.batch.problem import plan_for
from jaxem.data.scaling import Frame
from jaxem.engine.finish import cast
from jaxem.engine.loop import with_kernel
from jaxem.engine.steps import Control

F32 = np.float32


def engine_programs(
    platform, family, d, accelerate=None, init="k-means++", precision="float32", kernel=None
):
    """The kernel chosen there, and the engine's programs of 64 float32 fits as text; none runs."""
    kind = {"cuda": "gpu"}.get(platform, platform)
    model = cast(jaxem.Mixture(family, n_components=3, precision=precision), F32)
    data = jaxem.Data(jax.ShapeDtypeStruct((2000, d), F32), jax.ShapeDtypeStruct((2000,), F32))
    model = with_kernel(model, data, 64, kernel, kind)
    plan = plan_for(model, data, 64, 1 << 28)
    prepared = jax.eval_shape(lambda data: model.prepare(data, plan.rows), data)
    frame = Frame(np.zeros(d, F32), np.ones(d, F32))
    grid = lanes.Grid(model, data, prepared, frame, shared=True)
    number = np.zeros(plan.bucket, np.int32)
    control = Control(F32(1e-6), 500, True, "log_likelihood", accelerate)

    def lower(program, *arguments):
        with platform_of(platform):
            traced = program.on(kind).trace(grid, number, *arguments)
            return traced.lower(lowering_platforms=(platform,))

    def shapes(lowered):
        struct = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)  # noqa: E731
        return jax.tree.map(struct, lowered.out_info)

    seed = lower(lanes.seed, number, number, jax.random.key(0), None, init, plan.at_once)
    begin = lower(lanes.begin, shapes(seed), control)
    runs = shapes(begin)
    programs = dict(seed=seed, begin=begin, conclude=lower(lanes.conclude, runs))
    programs["advance"] = lower(lanes.advance, control, 500, 0, 64, runs)
    return model.kernel, {name: program.as_text() for name, program in programs.items()}
