"""Floors: the machine's best matrix rate, and the two matrix products of an EM step alone."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bench.harness.timing import Timing, Variant, clocked

#: Orders of the square products that stand for the machine's best.
ORDERS = (1024, 2048)


def width_of(d: int) -> int:
    """Features of a full-covariance Gaussian: 1, x and the upper triangle of x xᵀ."""
    return 1 + d + d * (d + 1) // 2


def square_products(orders: tuple[int, ...] = ORDERS) -> dict[str, Variant]:
    """float32 products of square matrices by NumPy and by XLA."""
    variants: dict[str, Variant] = {}
    for order in orders:
        a = np.random.default_rng(0).normal(size=(order, order)).astype(np.float32)
        on_device, product = jnp.asarray(a), jax.jit(partial(jnp.matmul, precision="highest"))
        variants[f"matmul {order}, NumPy"] = clocked(lambda a=a: a @ a)
        variants[f"matmul {order}, XLA"] = clocked(lambda b=on_device, f=product: f(b, b))
    return variants


def best_rate(times: dict[str, Timing]) -> float:
    """flop/s of the fastest square product."""
    rates = [
        2 * int(name.split()[1].rstrip(",")) ** 3 / timing.median
        for name, timing in times.items()
        if name.startswith("matmul")
    ]
    return max(rates)


def step_flops(n: int, d: int, k: int, lanes: int) -> int:
    """4P per responsibility: what two matrix products of an EM step must do."""
    return 4 * width_of(d) * n * k * lanes


def bare_products(n: int, d: int, columns: int, rows: int, iterations: int) -> Callable:
    """The products βΦ and (βΦ)Φᵀ over blocks of rows, in a scan, with nothing between them.

    Shapes are those of the step: β f[columns, P], blocks of `rows` rows of n.
    """
    width, count = width_of(d), -(-n // rows)
    rng = np.random.default_rng(0)
    shape = count, width, -(-n // count)
    blocks = jnp.asarray(rng.normal(size=shape).astype(np.float32))
    start = jnp.asarray(rng.normal(size=(columns, width)).astype(np.float32))
    product = partial(jnp.einsum, precision="highest")

    def block(total, phi):
        logits = product("cp,pm->cm", total[0], phi)
        return (total[0], total[1] + product("cm,pm->cp", logits, phi)), None

    @jax.jit
    def run(beta, blocks):
        def iterate(_, beta):
            moments = jax.lax.scan(block, (beta, jnp.zeros_like(beta)), blocks)[0][1]
            return beta + 1e-20 * moments  # the next iteration must wait for this one

        return jax.lax.fori_loop(0, iterations, iterate, beta)

    return lambda: run(start, blocks)
