"""How the engine's own programs are compiled: what XLA is told for each platform."""

import functools
from collections.abc import Callable
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

#: For CPUs: vectors as wide as the registers, where XLA's choice is half of that.
WIDE = {"xla_cpu_prefer_vector_width": 512}

#: Where all lanes share their data: XLA's older code generator, which compiles in 0.60 to 0.85 of
#: the newer's time to steps as fast (0.94 to 1.06; 1.3 in one of ten problems). With data of each
#: lane's own, its steps take 0.9 to 1.7 times as long. Measured with jax 0.10.2 at d = 2 to 32 in
#: float32 and float64, on two cores with AVX-512; JAX 0.11 and later have the newer alone.
SHARED = {**WIDE, "xla_cpu_use_fusion_emitters": False}


class Jitted(Protocol):
    """A function as `jax.jit` returns it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments, compiled where it is not yet."""
        ...

    def lower(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """The program for arguments of these shapes, not compiled."""
        ...

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes of the results for arguments of these shapes."""
        ...

    def clear_cache(self) -> None:
        """Forget the compiled programs."""
        ...


#: Every jitted function of the package: what `drop` forgets the programs of.
OWN: list[Jitted] = []


def jitted(function: Callable, **options: Any) -> Jitted:
    """`jax.jit(function, **options)`, whose programs `drop` can forget. Functions of the package
    are compiled by this or by `program`."""
    OWN.append(cast(Jitted, jax.jit(function, **options)))
    return OWN[-1]


def drop() -> None:
    """Forget the programs compiled for this package; the next call of each compiles it anew. A
    program that another thread is running stays until it has run, and those that a caller compiled
    stay altogether."""
    for function in list(OWN):
        function.clear_cache()


def program(**static: Any) -> Callable:
    """`jax.jit(function, **static)` of a function of a grid, with options for the platform of the
    mesh it is given, else JAX's default, and for whether the grid's lanes share their data. Not
    for use inside another program: options are for whole ones."""

    def decorate(function: Callable) -> Callable:
        @functools.cache
        def on(platform: str, shared: bool = True) -> Callable:
            return jitted(function, compiler_options=_options(platform, shared), **static)

        @functools.wraps(function)
        def call(grid: Any, *args: Any, **kwargs: Any) -> Any:
            meshes = [one for one in (*args, *kwargs.values()) if isinstance(one, Mesh)]
            return on(_platform(*meshes), grid.shared)(grid, *args, **kwargs)

        call.on = on  # type: ignore[attr-defined]
        return call

    return decorate


def _platform(mesh: Mesh | None = None) -> str:
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


@functools.cache
def _options(platform: str, shared: bool) -> dict[str, int | bool] | None:
    """Options that this XLA knows: they only save time, and names come and go with versions."""
    if platform != "cpu":
        return None
    options = SHARED if shared else WIDE
    return {name: value for name, value in options.items() if _known(name, value)} or None


@functools.cache
def _known(name: str, value: int | bool) -> bool:
    try:
        nothing = jax.jit(lambda x: x, compiler_options={name: value})
        nothing.lower(jax.ShapeDtypeStruct((), jnp.float32)).compile()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return False
    return True
