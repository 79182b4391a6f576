"""Work on every device of a mesh, each on its own part."""

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from jaxem.devices import collectives


def test_arrays_of_size_0_go_to_every_device():
    """jaxlib 0.11.2 ends the process where they are read there as they came."""
    mesh, lanes = Mesh(np.array(jax.devices()), ("lanes",)), PartitionSpec("lanes")

    def steps(x, none, common):
        body = lambda carry: (carry[0] + common.sum(), 2 * carry[1], carry[2] + 1)  # noqa: E731
        return jax.lax.while_loop(lambda carry: carry[2] < 3, body, (x, none, 0))[:2]

    run = jax.jit(collectives.on_each(mesh, steps, (lanes, lanes, PartitionSpec()), lanes))
    x, none = run(np.arange(16.0), np.zeros((16, 0)), np.zeros(0, np.float64))
    np.testing.assert_array_equal(x, np.arange(16.0))
    assert none.shape == (16, 0) and len(none.sharding.device_set) == len(jax.devices())
