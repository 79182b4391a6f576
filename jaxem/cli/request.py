"""What `jaxem fit` and `jaxem sweep` were asked for, and the data they read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxem.cli import outputs
from jaxem.cli.families import devices_of
from jaxem.cli.large import bytes_of, in_blocks
from jaxem.cli.tables import Table, column_index, read_rows
from jaxem.core.protocols import Family
from jaxem.core.types import Rows
from jaxem.data.blocks import RowBlocks
from jaxem.devices.placement import placement_of


@dataclass(frozen=True)
class Job:
    """The options as typed; `criterion` and `folds` are those of `sweep`."""

    source: str
    k: str = "1:4"
    family: str = "gaussian"
    covariance: str | None = None
    trials: int | None = None
    starts: int = 100
    seed: int = 0
    tol: float = 1e-6
    max_iter: int = 1000
    race: bool | None = None
    split_merge: int = 0
    devices: str | None = None
    memory_limit: str | None = None
    columns: str | None = None
    sample_weight: str | None = None
    header: bool | None = None
    plot: Path | None = None
    out: Path | None = None
    force: bool = False
    json: bool = False
    criterion: str = "bic"
    folds: int = 0


def check_job(job: Job) -> None:
    """ValueError for options out of range, files that cannot be written, and devices that JAX
    cannot start."""
    placement_of()
    if job.starts < 1:
        raise ValueError(f"--starts must be at least 1; got {job.starts}.")
    if job.max_iter < 1:
        raise ValueError(f"--max-iter must be at least 1; got {job.max_iter}.")
    if job.split_merge < 0:
        raise ValueError(f"--split-merge must not be negative; got {job.split_merge}.")
    if job.split_merge and job.race is False:
        raise ValueError("--split-merge needs the race: leave out --no-race.")
    if not job.tol >= 0:
        raise ValueError(f"--tol must not be negative; got {job.tol}.")
    devices_of(job.devices)
    bytes_of(job.memory_limit)
    if job.plot is not None:
        outputs.check_picture(job.plot, "--plot", job.force)
    if job.out is not None:
        outputs.check_archive(job.out, "--out", job.force)


@dataclass(frozen=True)
class Input:
    """The data of a command."""

    table: Table  #: all rows, or the first of those that are read in blocks
    x: Rows  #: what `jaxem.sweep` takes: f[n, d], or `RowBlocks`
    weight: np.ndarray | None
    n: int

    @property
    def whole(self) -> bool:
        """Whether the table is all rows."""
        return not isinstance(self.x, RowBlocks)


def read_data(job: Job) -> Input:
    """The rows, and the weights from the column of --sample-weight. A file that is larger than the
    memory limit is read in blocks."""
    limit = bytes_of(job.memory_limit)
    large = in_blocks(job.source, job.columns, job.sample_weight, limit)
    if large is not None:
        rows, head, n = large
        _check_names(job, head.names)
        return Input(head, rows, None, n)
    table, weight = _read_whole(job)
    return Input(table, table.x, weight, len(table.x))


def _read_whole(job: Job) -> tuple[Table, np.ndarray | None]:
    if job.sample_weight is None:
        table, weight = read_rows(job.source, job.columns, job.header), None
    else:
        table, weight = _split_weight(job)
    _check_names(job, table.names)
    return table, weight


def _check_names(job: Job, names: list[str]) -> None:
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if job.out is not None and twice:
        raise ValueError(f"{job.source}: two columns are named {twice[0]!r}, which --out cannot "
                         "tell apart; rename one.")  # fmt: skip


def _split_weight(job: Job) -> tuple[Table, np.ndarray]:
    assert job.sample_weight is not None
    if job.columns is None:
        table = read_rows(job.source, None, job.header)
        j = column_index(job.sample_weight, table.names, job.source)
    else:
        table = read_rows(job.source, f"{job.columns},{job.sample_weight}", job.header)
        j = len(table.names) - 1
    weight, names = table.x[:, j], table.names[:j] + table.names[j + 1 :]
    if not names:
        raise ValueError(f"{job.source}: no column is left beside the weights.")
    if weight.min() < 0 or weight.max() <= 0:
        raise ValueError(
            f"{job.source}, column {job.sample_weight!r}: weights must not be negative, "
            "and one must be positive."
        )
    return table._replace(x=np.delete(table.x, j, axis=1), names=names), weight


def check_rows(job: Job, family: Family, data: Input, ks: list[int]) -> None:
    """ValueError for more components than rows, and for values that the family cannot take; of rows
    that are read in blocks, the fit checks all."""
    n, table = data.n, data.table
    if ks[-1] > n:
        raise ValueError(f"-k goes up to {ks[-1]}, but {job.source} has only {n} rows.")
    if job.folds == 1 or not 0 <= job.folds <= n:
        raise ValueError(f"--folds must be 0, or from 2 to the number of rows; got {job.folds}.")
    if not data.whole and job.folds:
        raise ValueError(f"--folds: {job.source} is read in blocks, and cross-validation needs all "
                         "rows; raise --memory-limit, or leave it out.")  # fmt: skip
    try:
        family.validate(table.x)
    except ValueError as error:
        raise ValueError(f"{job.source}: {table.located(str(error))}") from error
