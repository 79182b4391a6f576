"""Memory stays within the stated budget: by the compiled programs' own account, not by luck."""

import jax
import numpy as np
import pytest
from problems import clouds, mixture

import jaxem
from jaxem.batch import lanes, planning
from jaxem.batch.grid import Grid
from jaxem.batch.planning import Shape
from jaxem.core.model_protocol import Cost
from jaxem.data.scaling import Scaling
from jaxem.engine.finish import cast
from jaxem.engine.steps import Control

N, D, K, STARTS = 200_000, 4, 8, 64
KEY = jax.random.key(0)


def programs(limit, accelerate=None, n=N):
    """The plan, and the lowered `advance`, `seed` and `conclude` for n rows; nothing is run."""
    model = mixture(k=K)
    x = jax.ShapeDtypeStruct((n, D), np.float32)
    data = jaxem.Data(x, jax.ShapeDtypeStruct((n,), np.float32))
    plan = planning.plan_batch(Shape(n, model.cost(D, np.float32), STARTS, 1, 4), limit)
    scaling = Scaling(np.zeros(D, np.float32), np.ones(D, np.float32))
    model = cast(model, np.float32)
    prepared = jax.eval_shape(lambda data: model.prepare(data, plan.rows), data)
    grid = Grid(model, data, prepared, scaling, shared=True)
    number = np.zeros(plan.bucket, int)
    control = Control(1e-6, 500, True, "log_likelihood", accelerate)
    ids = lanes.LaneIds(number, number, number)
    draw = lanes.Draw(KEY, None, "k-means++", plan.at_once)
    seed = lanes.draw_starts.on("cpu").lower(grid, ids, draw, control)
    runs = shapes(seed)
    return plan, {
        "advance": lanes.advance.on("cpu").lower(grid, number, control, lanes.Until(500), runs),
        "seed": seed,
        "conclude": lanes.conclude.on("cpu").lower(grid, number, runs, control),
    }


def shapes(lowered):
    """Shapes and dtypes of what a program returns."""
    struct = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)  # noqa: E731
    return jax.tree.map(struct, lowered.out_info)


def temporary(lowered):
    """Bytes that a program takes beside its arguments and results."""
    return lowered.compile().memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("limit", [1 << 28, 1 << 25])
def test_programs_stay_under_the_limit(limit):
    plan, lowered = programs(limit)
    for name, program in lowered.items():
        assert temporary(program) < limit, name
    # What must never exist at once: the responsibilities of all rows, components and lanes.
    assert plan.bucket > 1
    assert temporary(lowered["advance"]) < N * K * plan.bucket * 4 / 4


def test_an_accelerator_fits_in_too():
    _, lowered = programs(1 << 25, "anderson")
    assert temporary(lowered["advance"]) < 1 << 25


def test_ten_times_the_rows_take_no_more():
    sizes = []
    for n in (N // 10, N):
        _, lowered = programs(1 << 26, n=n)
        sizes.append(temporary(lowered["advance"]))
    assert sizes[1] < 1.5 * sizes[0]


def test_the_measure_sees_what_it_should():
    """The same account, on a program that does materialise n × k × lanes."""

    def wasteful(x, beta):
        r = jax.nn.softmax((x @ beta.T).reshape(N, STARTS, K), axis=2)
        return r.reshape(N, STARTS * K).T @ x

    x = jax.ShapeDtypeStruct((N, D), np.float32)
    beta = jax.ShapeDtypeStruct((STARTS * K, D), np.float32)
    assert temporary(jax.jit(wasteful).lower(x, beta)) >= N * K * STARTS * 4


# The limit ------------------------------------------------------------------------------------


def test_a_limit_too_small_states_the_minimum_which_is_enough():
    x = clouds()
    with pytest.raises(ValueError, match=r"memory_limit of 1000 bytes is too small.*needs \d+"):
        jaxem.fit(mixture(), x, key=KEY, n_starts=4, memory_limit=1000)
    with pytest.raises(ValueError) as error:
        jaxem.fit(mixture(), x, key=KEY, n_starts=4, memory_limit=1000)
    least = int(str(error.value).rstrip(".").split()[-1])
    with pytest.raises(ValueError, match="too small"):
        planning.plan_batch(Shape(300, Cost(3, 6), 4, 1, 8), least - 1)
    fits = jaxem.fit(mixture(), x, key=KEY, n_starts=4, memory_limit=least)
    assert fits.sound.all()


def test_many_data_sets_have_a_minimum_too():
    with pytest.raises(ValueError, match=r"memory_limit of 1000 bytes is too small.*needs \d+"):
        jaxem.fit_many(mixture(), [clouds()] * 3, key=KEY, n_starts=4, memory_limit=1000)


def test_a_tight_limit_changes_roundings_only():
    x = clouds()
    want = jaxem.fit(mixture(), x, key=KEY, n_starts=20)
    for limit in (20_000, 200_000):
        tight = jaxem.fit(mixture(), x, key=KEY, n_starts=20, memory_limit=limit)
        np.testing.assert_array_equal(tight.status, want.status)
        np.testing.assert_allclose(tight.objective, want.objective, rtol=1e-10)
        np.testing.assert_allclose(tight.params.means, want.params.means, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("limit", [1 << 23, 1 << 26, 1 << 30])
def test_plans_fit(limit, shared):
    """Blocks and lane states of every plan are within the limit."""
    for n in (100, 10_000):
        for k, d in ((1, 1), (3, 2), (32, 8)):
            width = 1 + d + d * (d + 1) // 2
            plan = planning.plan_batch(
                Shape(n, Cost(k, width), 1000 if shared else 1, 1 if shared else 1000, 4, shared),
                limit,
            )
            assert 1 <= plan.smallest <= plan.bucket <= 1024
            assert 1 <= plan.rows <= n
            assert 1 <= plan.at_once <= plan.bucket
            assert plan.stride >= 1
            logits = plan.rows * plan.bucket * k * 4
            states = plan.bucket * 6 * k * width * 4
            rows = 0 if shared else plan.bucket * n * (width + 1) * 4
            assert logits + states + rows <= limit


def test_without_a_limit_it_is_a_share_of_the_machine():
    assert 1 << 26 < planning.memory() < 1 << 50
