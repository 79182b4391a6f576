"""`jaxem predict` and `jaxem sample`: label rows with the mixture of a file, or draw rows."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from jaxem.cli import outputs
from jaxem.cli.components import say
from jaxem.cli.large import bytes_of, in_blocks
from jaxem.cli.selection import Chosen, check_density, choose, precision
from jaxem.cli.tables import Table, read_rows
from jaxem.core.compiled import jitted
from jaxem.data.blocks import ROWS, RowBlocks, ahead, padded
from jaxem.data.data import Data
from jaxem.data.validate import check_finite


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options that both commands have, as typed."""

    file: Path
    data_set: int | None
    out: Path | None
    force: bool
    json: bool

    @property
    def path(self) -> Path | None:
        """The CSV file to write; None for standard output."""
        return None if str(self.out) == "-" else self.out

    def chosen(self) -> Chosen:
        """The mixture asked for; ValueError also for a CSV file that cannot be written."""
        if self.path is not None:
            outputs.check_file(self.path, "--out", self.force)
        return choose(self.file, self.data_set)

    def write(self, columns: dict[str, np.ndarray], document: outputs.Document, said: str) -> None:
        """The columns as CSV, and JSON or a line about the file. On standard output, JSON takes the
        place of CSV."""
        if not self.json or self.path is not None:
            outputs.write_csv(self.path, list(columns), [list(columns.values())], self.force)
        self.tell(document, said)

    def tell(self, document: outputs.Document, said: str) -> None:
        """JSON, or a line about the file that was written."""
        if self.json:
            outputs.print_json({**document, "out": self.path and str(self.path)})
        elif self.path is not None:
            say(said)


@dataclass(frozen=True, kw_only=True)
class Rows(Request):
    """The options of `predict`, as typed."""

    data: str
    columns: str | None
    header: bool | None
    memory_limit: str | None
    proba: bool
    score: bool


def run_predict(job: Rows) -> None:
    """Label the rows of a table; ValueError for what the user can mend."""
    chosen = job.chosen()
    # The file has names of columns; columns that the user names are taken in the order named.
    columns, limit = job.columns or chosen.columns, bytes_of(job.memory_limit)
    large = in_blocks(job.data, columns, None, limit)
    table = large[1] if large else read_rows(job.data, columns, job.header)
    if table.x.shape[1] != chosen.d:
        raise ValueError(f"{job.data}: {job.file} is a mixture of {chosen.d} columns, "
                         f"{', '.join(chosen.columns)}; got {table.x.shape[1]}.")  # fmt: skip
    check_density(job.file, chosen)
    if large is None:
        _hand_out(job, chosen, iter([table]))
        return
    if job.json and job.path is None:
        raise ValueError(f"--json: {job.data} is read in blocks; say --out for its labels.")
    _hand_out(job, chosen, _tables(table, large[0]))


def _tables(head: Table, rows: RowBlocks) -> Iterator[Table]:
    """The rows in tables that know where they stand."""
    first = 0
    for block in ahead(rows.blocks(ROWS)):
        where = first + np.arange(len(block.x))
        yield Table(np.asarray(block.x), head.names, "row", where)
        first += len(block.x)


def _joint(job: Rows, chosen: Chosen, table: Table) -> np.ndarray:
    """log π_k p(x|k) f[n, k] of the rows of a table."""
    with precision(chosen) as dtype:
        try:
            check_finite(table.x)
            chosen.model.family.validate(table.x)
        except ValueError as error:
            raise ValueError(f"{job.data}: {table.located(str(error))}") from error
        n = len(table.x)
        # Blocks of a file share one program.
        x = padded(Data(table.x, np.ones(n)), max(n, ROWS) if n > ROWS // 2 else n, dtype).x
        return np.asarray(chosen.model.log_joint(chosen.params, x))[:n]


def _hand_out(job: Rows, chosen: Chosen, tables: Iterator[Table]) -> None:
    """Labels, responsibilities and log densities of all tables, one after the other."""
    k = chosen.model.n_components
    names = ["component", *(f"p{i + 1}" for i in range(k) if job.proba)]
    names += ["log_density"] if job.score else []
    kept, numbers, total = [], np.zeros(k, int), 0.0

    def parts() -> Iterator[list[np.ndarray]]:
        nonlocal numbers, total
        for table in tables:
            joint = _joint(job, chosen, table)
            top = joint.max(axis=1, keepdims=True)
            density = top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))
            label, proba = joint.argmax(axis=1) + 1, np.exp(joint - density[:, None])
            numbers, total = (
                numbers + np.bincount(label, minlength=k + 1)[1:],
                total + density.sum(),
            )
            if job.json and job.path is None:
                kept.append((label, proba, density))
            yield [label, *(proba.T if job.proba else ()), *([density] if job.score else ())]

    if job.json and job.path is None:
        deque(parts(), maxlen=0)
    else:
        outputs.write_csv(job.path, names, parts(), job.force)
    document = {"file": str(job.file), "data": job.data, "n_rows": numbers.sum()}
    document |= {"counts": numbers, "log_likelihood": total}
    if kept:
        label, proba, density = (np.concatenate(one) for one in zip(*kept, strict=True))
        document |= {"component": label, **({"proba": proba} if job.proba else {})}
        document |= {"log_density": density} if job.score else {}
    found = ", ".join(f"{count} in component {i + 1}" for i, count in enumerate(numbers))
    job.tell(document, f"labels: {job.path} ({numbers.sum()} rows; {found})")


@dataclass(frozen=True, kw_only=True)
class Draw(Request):
    """The options of `sample`, as typed."""

    n: int
    seed: int
    component: bool


def run_sample(job: Draw) -> None:
    """Draw rows from a mixture; ValueError for what the user can mend."""
    if job.n < 1:
        raise ValueError(f"-n must be at least 1; got {job.n}.")
    chosen = job.chosen()
    check_density(job.file, chosen)
    with precision(chosen):
        drawn = _draw(chosen.model, jax.random.key(job.seed), chosen.params, job.n)
        x, label = (np.asarray(value) for value in drawn)
    own = {"component": label + 1} if job.component else {}
    document = {
        "file": str(job.file), "n_rows": job.n, "seed": job.seed, "columns": chosen.columns,
        **({} if job.path else {"x": x, **own}),
    }  # fmt: skip
    columns = {**dict(zip(chosen.columns, x.T, strict=True)), **own}
    job.write(columns, document, f"rows: {job.path} ({job.n})")


_draw = jitted(lambda model, key, params, n: model.sample(key, params, n), static_argnums=3)
