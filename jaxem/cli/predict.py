"""`jaxem predict` and `jaxem sample`: label rows with the mixture of a file, or draw rows."""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from jaxem.cli import outputs
from jaxem.cli.components import say
from jaxem.cli.selection import Chosen, check_density, choose, precision
from jaxem.cli.tables import read_rows
from jaxem.core.compiled import jitted


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
            outputs.write_csv(self.path, list(columns), list(columns.values()), self.force)
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
    proba: bool
    score: bool


def run_predict(job: Rows) -> None:
    """Label the rows of a table; ValueError for what the user can mend."""
    chosen = job.chosen()
    # The file has names of columns; columns that the user names are taken in the order named.
    table = read_rows(job.data, job.columns or chosen.columns, job.header)
    if table.x.shape[1] != chosen.d:
        raise ValueError(f"{job.data}: {job.file} is a mixture of {chosen.d} columns, "
                         f"{', '.join(chosen.columns)}; got {table.x.shape[1]}.")  # fmt: skip
    check_density(job.file, chosen)
    with precision(chosen) as dtype:
        try:
            chosen.model.family.validate(table.x)
        except ValueError as error:
            raise ValueError(f"{job.data}: {table.located(str(error))}") from error
        x = table.x.astype(dtype)
        joint = np.asarray(chosen.model.log_joint(chosen.params, x))
    _hand_out(job, joint)


def _hand_out(job: Rows, joint: np.ndarray) -> None:
    """Labels, responsibilities and log densities from log π_k p(x|k) f[n, k]."""
    top = joint.max(axis=1, keepdims=True)
    density = top[:, 0] + np.log(np.exp(joint - top).sum(axis=1))
    proba = np.exp(joint - density[:, None])
    label = joint.argmax(axis=1) + 1
    score = {"log_density": density} if job.score else {}
    each = {f"p{k + 1}": column for k, column in enumerate(proba.T)} if job.proba else {}
    rows = {"component": label, **({"proba": proba} if job.proba else {}), **score}
    numbers = np.bincount(label, minlength=joint.shape[1] + 1)[1:]
    document = {
        "file": str(job.file), "data": job.data, "n_rows": len(label), "counts": numbers,
        "log_likelihood": density.sum(), **({} if job.path else rows),
    }  # fmt: skip
    parts = ", ".join(f"{count} in component {k + 1}" for k, count in enumerate(numbers))
    said = f"labels: {job.path} ({len(label)} rows; {parts})"
    job.write({"component": label, **each, **score}, document, said)


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
