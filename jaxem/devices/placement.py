"""Where fits run: the devices, and each process's share; and advice where devices are missing."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxem.core.types import Device, Devices

T = TypeVar("T")

#: The axis of lanes in meshes.
LANES = "lanes"

PLATFORMS = ("cpu", "gpu", "tpu", "cuda", "rocm")


@dataclass(frozen=True)
class Placement:
    """The devices of this process along the axis `LANES` (None: JAX's default device)."""

    mesh: Mesh | None = None
    shared_out: bool = False  # each process runs its share of the lanes
    in_step: bool = False  # all processes run the same lanes, on rows of their own

    @property
    def several(self) -> bool:
        """Whether several processes work together."""
        return self.shared_out or self.in_step

    @property
    def devices(self) -> int:
        """The number of devices of this process."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def platform(self) -> str:
        """The platform, named as by `jax.default_backend()`."""
        return jax.default_backend() if self.mesh is None else self.mesh.devices.flat[0].platform

    def as_default(self) -> AbstractContextManager:
        """A context in which arrays are made on the first of the devices."""
        return nullcontext() if self.mesh is None else jax.default_device(self.mesh.devices.flat[0])

    def replicate(self, tree: T) -> T:
        """The tree on every device."""
        if self.mesh is None:
            return tree
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    def shard(self, tree: T) -> T:
        """The tree's leading axes cut into one piece for each device."""
        if self.mesh is None:
            return tree
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec(LANES)))

    def own_share(self, chosen: np.ndarray) -> np.ndarray:
        """The chosen lanes that this process runs."""
        return chosen[jax.process_index() :: jax.process_count()] if self.shared_out else chosen


#: JAX's default device, one process.
DEFAULT = Placement()


def placement_of(devices: Devices = None, mesh: Devices = None) -> Placement:
    """The placement for `devices`: None (JAX's default device), "all", "local" (of this process),
    the name of a platform, a number of devices, a list of devices, or a Mesh; `mesh` is another
    name of the argument. ValueError for anything else, and for devices that do not exist."""
    if devices is not None and mesh is not None:
        raise ValueError("give devices or mesh, not both: they are two words for one thing.")
    devices = mesh if devices is None else devices
    if devices is None:
        _found(None)
        return Placement()
    chosen = device_list(devices)
    own = [device for device in chosen if device.process_index == jax.process_index()]
    owners = {device.process_index for device in chosen}
    shared_out = owners == set(range(jax.process_count())) and len(owners) > 1
    if not own or (len(owners) > 1 and not shared_out):
        raise ValueError(
            f"devices of processes {sorted(owners)} were given to process {jax.process_index()} of "
            f"{jax.process_count()}: give devices of every process ('all') or its own ('local')."
        )
    return Placement(Mesh(np.array(own), (LANES,)), shared_out)


def device_list(devices: Devices) -> list[Device]:
    """Distinct devices of one platform, named as for `placement_of`; ValueError for other
    values."""
    if isinstance(devices, Mesh):
        chosen = list(devices.devices.flat)
    elif isinstance(devices, str):
        chosen = _named(devices)
    elif isinstance(devices, bool):
        raise ValueError(f"devices must be a number, names or devices; got {devices}.")
    elif isinstance(devices, int | np.integer):
        chosen = _found(None)
        if not 1 <= devices <= len(chosen):
            raise ValueError(
                f"devices={devices}, but this process has {len(chosen)} "
                f"({chosen[0].platform}). A CPU counts as more with JAX_NUM_CPU_DEVICES=n in the "
                "environment, or jax.config.update('jax_num_cpu_devices', n) before anything else."
            )
        chosen = chosen[: int(devices)]
    else:
        chosen = list(devices) if isinstance(devices, Sequence | np.ndarray) else [devices]
    wrong = next((item for item in chosen if not isinstance(item, jax.Device)), None)
    if not chosen or wrong is not None:
        what = "an empty list" if not chosen else repr(wrong)
        raise ValueError(
            "devices must be 'all', 'local', a platform such as 'gpu', a number, a list of "
            f"jax.devices() or a Mesh; got {what}."
        )
    chosen = sorted(chosen, key=lambda one: one.process_index)
    platforms = sorted({one.platform for one in chosen})
    if len(platforms) > 1 or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"devices must be distinct and of one platform; got {len(chosen)}, of which "
            f"{len(set(chosen))} are distinct, of {', '.join(platforms)}."
        )
    return chosen


def _named(name: str) -> list[Device]:
    if name in ("all", "local"):
        local = _found(None)
        return jax.devices(local[0].platform) if name == "all" else local
    if name not in PLATFORMS:
        raise ValueError(
            f"devices must be 'all', 'local' or one of {', '.join(PLATFORMS)}; got {name!r}."
        )
    return _found(name)


def _found(platform: str | None) -> list[Device]:
    """This process's devices of a platform; ValueError, with advice, where there are none."""
    try:
        return jax.local_devices(backend=platform)
    except (RuntimeError, AssertionError) as error:  # an empty one of these for JAX_PLATFORMS=cuda
        asked = jax.config.jax_platforms  # type: ignore[attr-defined]
        text = why_missing(platform, str(error), _installed(), asked or "")
        raise ValueError(text) from error


def _installed() -> dict[str, str]:
    """Versions of jaxlib and of those of its GPU plugins that are installed."""
    found = {}
    for name in ("jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin", "jax-rocm7-plugin"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def why_missing(
    platform: str | None, error: str, installed: dict[str, str], asked: str = ""
) -> str:
    """The message, with advice, where JAX finds no device of a platform. None: of the platforms in
    the environment variable JAX_PLATFORMS (`asked`)."""
    said = f" JAX says: {error.splitlines()[0]}" if error else ""
    wish = f"devices={platform!r}"
    if platform is None and asked.partition(",")[0] in ("gpu", "cuda"):
        platform, wish = "cuda", f"JAX_PLATFORMS={asked}"
    if platform is None:
        return (
            "JAX could not start the devices that JAX_PLATFORMS asks for. Unset it to use what is "
            f"there, or repair the installation (see devices='gpu').{said}"
        )
    if platform not in ("gpu", "cuda"):
        return f"{wish}: JAX finds no {platform} here.{said}"
    plugins = {name: version for name, version in installed.items() if "cuda" in name}
    head = f"{wish}: JAX finds no NVIDIA GPU here. "
    if not plugins:
        return head + (
            "Its CUDA plugin is not installed: pip install 'jaxem[cuda12]' (drivers from 525) or "
            f"'jaxem[cuda13]' (drivers from 580); nvidia-smi shows the driver.{said}"
        )
    name, version = next(iter(plugins.items()))
    extra = "cuda13" if "13" in name else "cuda12"
    if version != installed.get("jaxlib"):
        return head + (
            f"{name} {version} does not match jaxlib {installed.get('jaxlib')}: "
            f"pip install --upgrade 'jaxem[{extra}]' brings both to one version.{said}"
        )
    return head + (
        f"{name} {version} is installed: nvidia-smi must list a GPU with a driver for CUDA "
        f"{extra[-2:]} (else install the other extra, cuda12 or cuda13), CUDA_VISIBLE_DEVICES must "
        f"not hide it, and JAX_PLATFORMS must not exclude it.{said}"
    )
