"""Checkpoints: the state of a call, written atomically while it runs, from which a killed call goes
on.

A checkpoint is one file of `jaxem.core.npz`: a header (format, fingerprint of the problem,
counters), and the leaves of one tree (runs, search state, active bucket). The fingerprint covers
data, model, settings and versions, so that a checkpoint is never used for another problem.
"""

import hashlib
import time
import warnings
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxem.batch.state import Bucket, Runs
from jaxem.core import npz
from jaxem.core.types import JSON, PyTree
from jaxem.core.version import __version__
from jaxem.data.validate import own_part
from jaxem.devices import distributed
from jaxem.devices.placement import Placement

FORMAT = 6

#: Seconds between two writes.
INTERVAL = 10.0

FilePath = str | PathLike[str]

State = TypeVar("State")


def fingerprint(*parts: PyTree) -> str:
    """A digest of arrays, pytrees and plain values, and of the versions that computed with them."""
    digest = hashlib.sha256(f"{__version__} {jax.__version__} {jax.default_backend()}".encode())
    for part in parts:
        leaves, structure = jax.tree.flatten(part)
        digest.update(str(structure).encode())
        for leaf in leaves:
            if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf = jax.random.key_data(leaf)
            array = np.asarray(own_part(leaf))
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(repr(leaf).encode() if array.dtype == object else array.tobytes())
    return digest.hexdigest()


def own_path(path: FilePath | None, placement: Placement) -> FilePath | None:
    """The checkpoint file of this process: `path` for process 0 and for a single process, else
    `path` with the process number added."""
    if path is None or not placement.several or jax.process_index() == 0:
        return path
    return f"{path}.process{jax.process_index()}"


def writer(path: FilePath, mark: str) -> Callable[..., None]:
    """A function `look(runs, state, last=False)` that writes both to `path` if `INTERVAL` seconds
    have passed since the last write, and in any case where `last`. The first failure of the disk
    warns, later ones are silent. `mark` is the fingerprint of the problem."""
    written, warned = -np.inf, False

    def look(runs: Runs, state: PyTree, last: bool = False) -> None:
        nonlocal written, warned
        if not last and time.monotonic() - written < INTERVAL:
            return
        try:
            save(path, runs, state, mark)
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


def save(path: FilePath, runs: Runs, state: PyTree, mark: str) -> None:
    """Write runs and search state to a temporary file, then rename it to `path`."""
    npz.write(path, *_contents(runs, state, mark))


def _contents(
    runs: Runs, state: PyTree, mark: str
) -> tuple[dict[str, JSON], dict[str, np.ndarray]]:
    """Header and arrays of a checkpoint: the leaves of one tree in their order."""
    bucket = runs.active_bucket
    header = {
        "format": FORMAT,
        "fingerprint": mark,
        "executed": runs.executed,
        "syncs": runs.syncs_done,
        "bucket": 0 if bucket is None else bucket.size,
    }
    tiles = np.zeros((0, 1), int) if bucket is None else bucket.tiles
    leaves = jax.tree.leaves((runs.run, state, tiles))
    return header, {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}


def load(path: FilePath, runs: Runs, state: State, mark: str) -> State | None:
    """The search state of a checkpoint, with `runs` restored from it; None where there is no file.
    `state` gives the structure. Raises ValueError as `read`."""
    found = read(path, mark)
    return None if found is None else _restore(runs, state, *found)


def read(path: FilePath, mark: str) -> tuple[dict[str, JSON], dict[str, np.ndarray]] | None:
    """Header and arrays of a checkpoint; None where there is no file.

    Raises ValueError when the file is no checkpoint, of another format, or of another problem.
    """
    if not Path(path).exists():
        return None
    try:
        header, arrays = npz.read(path)
        if not isinstance(header, dict) or not isinstance(header.get("format"), int):
            raise ValueError("written for another purpose")
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not a jaxem checkpoint ({error}); move it away.") from error
    if header["format"] != FORMAT:
        age = "a newer" if header["format"] > FORMAT else "an older"
        raise ValueError(
            f"{path} was written by {age} jaxem (format {header['format']}; this one has {FORMAT}):"
            " go on with that version, or move the file away to start afresh."
        )
    if header["fingerprint"] != mark:
        raise ValueError(
            f"{path} belongs to another problem (other data, model, settings, devices or "
            "versions); move it away to start afresh."
        )
    return header, arrays


def _restore(runs: Runs, state: State, header: dict, arrays: dict) -> State:
    """Restore `runs` from a checkpoint; returns its search state, of the structure of `state`."""
    structure = jax.tree.structure((runs.run, state, 0))
    leaves = [np.array(arrays[f"leaf{i}"]) for i in range(structure.num_leaves)]
    runs.run, state, tiles = jax.tree.unflatten(structure, leaves)
    runs.executed, runs.syncs_done = header["executed"], header["syncs"]
    runs.active_bucket = Bucket(tiles, header["bucket"]) if header["bucket"] else None
    return state


def resume(path: FilePath, runs: Runs, state: State, mark: str) -> State:
    """The search state to go on from: that of the file, if there is one, else `state`. Several
    processes go on from one state, each having read its own file or none.

    Where lanes are shared out, processes are compared by the number of their exchanges of lanes.
    Where all numbers are equal, each process keeps its own state. Else processes with a smaller
    number take over the state of the first process with the largest. Where processes run in step,
    all take over the state of process 0.
    """
    found = load(path, runs, state, mark)
    state = state if found is None else found
    placement, me = runs.batch.placement, jax.process_index()
    if not placement.several:
        return state
    syncs = [int(said) for said in distributed.exchange(str(runs.syncs_done).encode())]
    source = 0 if placement.in_step else syncs.index(max(syncs))
    if placement.shared_out and len(set(syncs)) == 1:
        return state
    mine = npz.to_bytes(*_contents(runs, state, mark)) if me == source else b""
    told = distributed.exchange(mine)[source]
    if me != source and (placement.in_step or syncs[me] < syncs[source]):
        executed = runs.executed
        state = _restore(runs, state, *npz.from_bytes(told))
        if placement.shared_out:  # this process has no part of the other's active bucket
            runs.active_bucket, runs.executed = None, executed
    return state
