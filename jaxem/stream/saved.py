"""The checkpoint of a call over rows that are read in blocks: what is known after a pass."""

from collections.abc import Callable

import jax
import numpy as np

from jaxem.batch import checkpoint
from jaxem.batch.checkpoint import FORMAT, FilePath
from jaxem.core import npz
from jaxem.core.types import PyTree
from jaxem.stream.loop import Passes


def writer(path: FilePath | None, mark: str) -> Callable[[Passes], None]:
    """A function of the passes that writes them to `path`, if there is one."""

    def look(passes: Passes) -> None:
        if path is None:
            return
        header = {"format": FORMAT, "fingerprint": mark, "executed": passes.executed}
        leaves = jax.tree.leaves(_tree(passes))
        arrays = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(leaves)}
        npz.write(path, {**header, "numbers": len(passes.numbers)}, arrays)

    return look


def resume(path: FilePath | None, mark: str, begun: Passes) -> Passes | None:
    """The passes of a checkpoint, of the structure of those that have just `begun`; None where
    there is no file. Raises ValueError as `jaxem.batch.checkpoint.read`."""
    found = None if path is None else checkpoint.read(path, mark)
    if found is None:
        return None
    header, arrays = found
    begun.numbers = [np.zeros(0)] * header["numbers"]
    structure = jax.tree.structure(_tree(begun))
    leaves = [np.array(arrays[f"leaf{i}"]) for i in range(structure.num_leaves)]
    state = jax.tree.unflatten(structure, leaves)
    return Passes(*state, executed=header["executed"])


def _tree(passes: Passes) -> PyTree:
    lanes = passes.racing, passes.follows, passes.parent, passes.before, passes.earlier
    return passes.run, *lanes, passes.numbers
