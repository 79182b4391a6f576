"""`jaxem predict` and `jaxem sample`: label rows with the mixture of a file, or draw rows."""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from jaxem.cli import outputs
from jaxem.cli.components import say
from jaxem.cli.selection import check_density, choose, precision
from jaxem.cli.tables import read_rows
from jaxem.core.compiled import jitted


@dataclass(frozen=True)
class Rows:
    """The options of `predict`, as typed."""

    file: Path
    data: str
    columns: str | None = None
    header: bool | None = None
    proba: bool = False
    score: bool = False
    data_set: int | None = None
    out: Path | None = None
    force: bool = False
    json: bool = False


def run_predict(job: Rows) -> None:
    """Label the rows of a table; ValueError for what the user can mend."""
    if job.out is not None:
        outputs.check_file(job.out, "--out", job.force)
    chosen = choose(job.file, job.data_set)
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
    label = joint.argmax(axis=1) + 1
    columns: dict[str, np.ndarray] = {"component": label}
    proba = np.exp(joint - density[:, None])
    if job.proba:
        columns |= {f"p{k + 1}": proba[:, k] for k in range(joint.shape[1])}
    if job.score:
        columns["log_density"] = density
    if not job.json or job.out is not None:
        outputs.write_csv(job.out, list(columns), list(columns.values()), job.force)
    numbers = np.bincount(label, minlength=joint.shape[1] + 1)[1:]
    if job.json:
        rows = {"component": label}
        rows |= {"proba": proba} if job.proba else {}
        rows |= {"log_density": density} if job.score else {}
        outputs.print_json({
            "file": str(job.file), "data": job.data, "n_rows": len(label), "counts": numbers,
            "log_likelihood": density.sum(), **({} if job.out else rows),
            "out": job.out and str(job.out),
        })  # fmt: skip
    elif job.out is not None:
        parts = [f"{count} in component {k + 1}" for k, count in enumerate(numbers)]
        say(f"labels: {job.out} ({len(label)} rows; {', '.join(parts)})")


@dataclass(frozen=True)
class Draw:
    """What `sample` was asked for, as typed."""

    file: Path
    n: int
    seed: int = 0
    component: bool = False
    data_set: int | None = None
    out: Path | None = None
    force: bool = False
    json: bool = False


def run_sample(job: Draw) -> None:
    """Draw rows from a mixture; ValueError for what the user can mend."""
    if job.n < 1:
        raise ValueError(f"-n must be at least 1; got {job.n}.")
    if job.out is not None:
        outputs.check_file(job.out, "--out", job.force)
    chosen = choose(job.file, job.data_set)
    check_density(job.file, chosen)
    with precision(chosen):
        drawn = _draw(chosen.model, jax.random.key(job.seed), chosen.params, job.n)
        x, label = (np.asarray(value) for value in drawn)
    columns = dict(zip(chosen.columns, x.T, strict=True))
    if job.component:
        columns["component"] = label + 1
    if not job.json or job.out is not None:
        outputs.write_csv(job.out, list(columns), list(columns.values()), job.force)
    if job.json:
        rows = {} if job.out else {"x": x, **({"component": label + 1} if job.component else {})}
        outputs.print_json({
            "file": str(job.file), "n_rows": job.n, "seed": job.seed, "columns": chosen.columns,
            **rows, "out": job.out and str(job.out),
        })  # fmt: skip
    elif job.out is not None:
        say(f"rows: {job.out} ({job.n})")


_draw = jitted(lambda model, key, params, n: model.sample(key, params, n), static_argnums=3)
