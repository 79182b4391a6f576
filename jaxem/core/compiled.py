"""Compilation of the package's own programs: XLA's options for each platform."""

import functools
from collections.abc import Callable
from typing import Any, Protocol, cast

import jax
import jax.numpy as jnp
import jaxlib
from jax.sharding import Mesh

#: Options for CPUs: vectors as wide as the registers; XLA's default is half that width.
WIDE = {"xla_cpu_prefer_vector_width": 512}

#: Options where all lanes share their data: XLA's older code generator. It compiles in 0.60 to 0.85
#: of the newer generator's time, and its steps take 0.94 to 1.06 times as long (1.3 in one of ten
#: problems). Where each lane has its own data, its steps take 0.9 to 1.7 times as long. Measured
#: with jax 0.10.2 at d = 2 to 32 in float32 and float64, on two cores with AVX-512. JAX 0.11 and
#: later have only the newer generator.
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


#: Every jitted function of the package; `drop` forgets their programs.
OWN: list[Jitted] = []


def jitted(function: Callable, **options: Any) -> Jitted:
    """`jax.jit(function, **options)`, whose programs `drop` can forget. Functions of the package
    are compiled by this or by `program`."""
    OWN.append(cast(Jitted, jax.jit(function, **options)))
    return OWN[-1]


def drop() -> None:
    """Forget the programs compiled for this package; the next call compiles each of them again. A
    program that another thread is running stays until it has run. Programs that a caller compiled
    stay."""
    for function in list(OWN):
        function.clear_cache()


def program(**static: Any) -> Callable:
    """Decorator: `jax.jit(function, **static)` for a function whose first argument is a grid. The
    compiler options depend on the platform (of a mesh among the arguments, else JAX's default) and
    on whether the grid's lanes share their data. Not for use inside another program: options apply
    to whole programs."""

    def decorate(function: Callable) -> Callable:
        @functools.cache
        def on(platform: str, shared: bool = True) -> Callable:
            return jitted(function, compiler_options=_options(platform, shared), **static)

        @functools.wraps(function)
        def call(grid: Any, *args: Any, **kwargs: Any) -> Any:
            meshes = [value for value in (*args, *kwargs.values()) if isinstance(value, Mesh)]
            return on(_platform(*meshes), grid.shared)(grid, *args, **kwargs)

        call.on = on  # type: ignore[attr-defined]
        return call

    return decorate


def _platform(mesh: Mesh | None = None) -> str:
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


@functools.cache
def _options(platform: str, shared: bool) -> dict[str, int | bool] | None:
    """The options that this version of XLA knows. Names change by version, and options
    only save time."""
    if platform != "cpu":
        return None
    options = SHARED if shared else WIDE
    return {name: value for name, value in options.items() if _known(name, value)} or None


#: The version of jaxlib from which XLA no longer knows an option; versions from 0.7 up to
#: `NOT_TRIED` are tested.
GONE = {"xla_cpu_prefer_vector_width": (0, 12), "xla_cpu_use_fusion_emitters": (0, 11)}
NOT_TRIED = (0, 12)


@functools.cache
def _known(name: str, value: int | bool) -> bool:
    """Whether XLA knows an option: by the version where that is tested, else by asking."""
    version = jaxlib.version.__version_info__[:2]
    if name in GONE and (0, 7) <= version < NOT_TRIED:
        return version < GONE[name]
    try:
        nothing = jax.jit(lambda x: x, compiler_options={name: value})
        nothing.lower(jax.ShapeDtypeStruct((), jnp.float32)).compile()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return False
    return True
