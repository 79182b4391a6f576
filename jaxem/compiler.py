"""How the engine's own programs are compiled: what XLA is told for each platform."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

#: For CPUs: vectors as wide as the registers, where XLA's choice is half of that; and its older
#: code generator, which takes two thirds of the time for programs that run as fast
#: (`python -m bench compilation`).
CPU_OPTIONS = {"xla_cpu_prefer_vector_width": 512, "xla_cpu_use_fusion_emitters": False}


def program(**static: Any) -> Callable:
    """`jax.jit(function, **static)` with the options of the platform of the mesh it is given, else
    of JAX's default platform. Not for use inside another program: options are for whole ones."""

    def decorate(function: Callable) -> Callable:
        @functools.cache
        def on(platform: str) -> Callable:
            return jax.jit(function, compiler_options=_options(platform), **static)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            meshes = [one for one in (*args, *kwargs.values()) if isinstance(one, Mesh)]
            return on(_platform(*meshes))(*args, **kwargs)

        call.on = on  # type: ignore[attr-defined]
        return call

    return decorate


def _platform(mesh: Mesh | None = None) -> str:
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


@functools.cache
def _options(platform: str) -> dict[str, Any] | None:
    """Options that this XLA knows: they only save time, and names come and go with versions."""
    if platform != "cpu":
        return None
    return {name: value for name, value in CPU_OPTIONS.items() if _known(name, value)} or None


def _known(name: str, value: Any) -> bool:
    try:
        nothing = jax.jit(lambda x: x, compiler_options={name: value})
        nothing.lower(jax.ShapeDtypeStruct((), jnp.float32)).compile()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return False
    return True
