"""Compilation of the package's own programs: XLA's options for each platform."""

import functools
import os
from collections.abc import Callable, Hashable
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

#: Options of small problems (`jaxem.batch.padding.is_brief`), whose programs take longer to compile
#: than to run, added to those above. At level 1 LLVM takes 0.8 of the time of level 2, and the
#: programs it makes take 1.00 to 1.03 times as long. At level 0 it takes 0.2 to 0.3, and what it
#: makes is 1.1 (conclude) to 4 times (draws of starts) as slow. One thread makes code with less
#: work than several.
LEVEL = "xla_backend_optimization_level"
ONE_THREAD = {"xla_cpu_parallel_codegen_split_count": 1}


class Jitted(Protocol):
    """A function as `jax.jit` returns it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments, compiled where it is not yet."""
        ...

    def lower(self, *args: Any, **kwargs: Any) -> jax.stages.Lowered:
        """The program for arguments of these shapes, not compiled."""
        ...

    def trace(self, *args: Any, **kwargs: Any) -> jax.stages.Traced:
        """The program for arguments of these shapes, neither lowered nor compiled."""
        ...

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes of the results for arguments of these shapes."""
        ...

    def clear_cache(self) -> None:
        """Forget the compiled programs."""
        ...


#: Every jitted function of the package; `drop` forgets their programs.
OWN: list[Jitted] = []

#: Shapes for which programs have been compiled ahead of their first call (`jaxem.batch.ahead`).
BEGUN: set[Hashable] = set()


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
    BEGUN.clear()


def program(brief: dict[str, int] | None = None, **static: Any) -> Callable:
    """Decorator: `jax.jit(function, **static)` for a function whose first argument is a grid. The
    compiler options depend on the platform (of a mesh among the arguments, else JAX's default), on
    whether the grid's lanes share their data, and on whether it is brief: `brief` is then added,
    unless XLA_FLAGS names the level of optimisation. Not for use inside another program: options
    apply to whole programs."""

    def decorate(function: Callable) -> Callable:
        @functools.cache
        def on(platform: str, shared: bool = True, small: bool = False) -> Callable:
            more = brief if small and LEVEL not in os.environ.get("XLA_FLAGS", "") else None
            options = _options(platform, shared, tuple((more or {}).items()))
            return jitted(function, compiler_options=options, **static)

        @functools.wraps(function)
        def call(grid: Any, *args: Any, **kwargs: Any) -> Any:
            meshes = [value for value in (*args, *kwargs.values()) if isinstance(value, Mesh)]
            return on(_platform(*meshes), grid.shared, grid.brief)(grid, *args, **kwargs)

        def trace(grid: Any, *args: Any, **kwargs: Any) -> jax.stages.Traced:
            return on(_platform(), grid.shared, grid.brief).trace(grid, *args, **kwargs)

        call.on, call.trace = on, trace  # type: ignore[attr-defined]
        return call

    return decorate


def _platform(mesh: Mesh | None = None) -> str:
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


@functools.cache
def _options(
    platform: str, shared: bool, more: tuple[tuple[str, int], ...] = ()
) -> dict[str, int | bool] | None:
    """The options that this version of XLA knows. Names change by version, and options
    only save time."""
    if platform != "cpu":
        return None
    options = {**(SHARED if shared else WIDE), **dict(more)}
    return {name: value for name, value in options.items() if _known(name, value)} or None


#: The version of jaxlib from which XLA no longer knows an option; versions from 0.7 up to
#: `NOT_TRIED` are tested.
NOT_TRIED = (0, 12)
GONE = {"xla_cpu_prefer_vector_width": (0, 12), "xla_cpu_use_fusion_emitters": (0, 11)}
GONE |= {name: NOT_TRIED for name in (LEVEL, *ONE_THREAD)}


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
