"""Work that survives a kill: the store written atomically while it runs, and read back.

One file of `jaxem.core.npz`: a header (format, fingerprint of the problem, counters) and the
leaves of the runs. The fingerprint covers data, model, settings and versions, so that a checkpoint
never goes on with another problem.
"""

import hashlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch.state import Store
from jaxem.core import npz
from jaxem.core.version import __version__
from jaxem.devices import distributed
from jaxem.devices.placement import Place

FORMAT = 5

#: What a checkpoint knows of a store beside its runs and its flight: numbers, and arrays of lanes.
COUNTERS = ("executed", "rung", "stage", "generation", "spent")
LANES = ("alive", "follows", "parent", "brood", "contenders", "verdicts")

#: Seconds between two writes.
INTERVAL = 10.0


def fingerprint(*parts: Any) -> str:
    """A digest of arrays, pytrees and plain values, and of the versions that computed with them."""
    digest = hashlib.sha256(f"{__version__} {jax.__version__} {jax.default_backend()}".encode())
    for part in parts:
        leaves, structure = jax.tree.flatten(part)
        digest.update(str(structure).encode())
        for leaf in leaves:
            if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf = jax.random.key_data(leaf)
            array = np.asarray(leaf) if _at_hand(leaf) else _own_part(leaf)
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(repr(leaf).encode() if array.dtype == object else array.tobytes())
    return digest.hexdigest()


def _at_hand(leaf: Any) -> bool:
    return not isinstance(leaf, jax.Array) or leaf.is_fully_addressable


def _own_part(leaf: jax.Array) -> np.ndarray:
    """What this process holds of an array whose rows are spread over processes."""
    return np.concatenate([np.asarray(shard.data) for shard in leaf.addressable_shards])


def own_path(path: Any, place: Place) -> Any:
    """The file of this process: `path` for process 0 and for one alone, else with its number."""
    if path is None or not place.several or jax.process_index() == 0:
        return path
    return f"{path}.process{jax.process_index()}"


def writer(path: Any, mark: str) -> Callable[..., None]:
    """A function of the store that writes it every `INTERVAL` seconds, or at once when told that
    this is the `last` time; a disk that is full or not there warns once."""
    written, warned = -np.inf, False

    def look(store: Store, last: bool = False) -> None:
        nonlocal written, warned
        if not last and time.monotonic() - written < INTERVAL:
            return
        try:
            save(path, store, mark)
        except OSError as error:
            if not warned:
                warnings.warn(
                    f"checkpoint {path} was not written ({error}); the fit goes on, and the last "
                    "good checkpoint is kept. Make room there, or name another path.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            warned = True
        written = time.monotonic()

    return look


def save(path: Any, store: Store, mark: str) -> None:
    """Write the store beside `path`, then put it in place in one step."""
    npz.write(path, *_contents(store, mark))


def _contents(store: Store, mark: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header = {
        "format": FORMAT,
        "mark": mark,
        **{name: getattr(store, name) for name in COUNTERS},
        "size": 0 if store.flight is None else store.flight[1],
    }
    arrays = {f"leaf{i}": leaf for i, leaf in enumerate(jax.tree.leaves(store.runs))}
    arrays["flight"] = np.zeros(0, int) if store.flight is None else store.flight[0]
    arrays |= {name: getattr(store, name) for name in LANES if getattr(store, name) is not None}
    return header, arrays


def load(path: Any, store: Store, mark: str) -> bool:
    """Put the store where the checkpoint stood; False when there is none. ValueError when it is
    not a checkpoint, of a newer format, or of another problem."""
    if not Path(path).exists():
        return False
    try:
        header, arrays = npz.read(path)
        if not isinstance(header, dict) or not isinstance(header.get("mark"), str):
            raise ValueError("written for another purpose")
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not a jaxem checkpoint ({error}); move it away.") from error
    if header["format"] > FORMAT:
        raise ValueError(f"{path} was written by a newer jaxem (format {header['format']}).")
    if header["mark"] != mark:
        raise ValueError(
            f"{path} belongs to another problem (other data, model, settings, devices or "
            "versions); move it away to start afresh."
        )
    _restore(store, header, arrays)
    return True


def _restore(store: Store, header: dict, arrays: dict) -> None:
    leaves, structure = jax.tree.flatten(store.runs)
    found = [np.array(arrays[f"leaf{i}"]) for i in range(len(leaves))]
    store.runs = jax.tree.unflatten(structure, found)
    for name in COUNTERS:
        setattr(store, name, header[name])
    for name in LANES:
        setattr(store, name, arrays.get(name))
    store.flight = (arrays["flight"], header["size"]) if header["size"] else None


def settle(store: Store, mark: str) -> None:
    """Let several processes go on from one state, each having read its own file or none.

    Where lanes are shared out, a process that is a stage behind takes over what the first of the
    furthest knows; within a stage each goes on with its own lanes. Where processes run in step,
    all take over what process 0 has.
    """
    place, me = store.place, jax.process_index()
    if not place.several:
        return
    stages = [int(said) for said in distributed.exchange(str(store.stage).encode())]
    source = 0 if place.in_step else stages.index(max(stages))
    if place.shared_out and len(set(stages)) == 1:
        return
    mine = npz.to_bytes(*_contents(store, mark)) if me == source else b""
    told = distributed.exchange(mine)[source]
    if me != source and (place.in_step or stages[me] < stages[source]):
        executed = store.executed
        _restore(store, *npz.from_bytes(told))
        if place.shared_out:  # the bucket in flight was the other's
            store.flight, store.executed = None, executed
