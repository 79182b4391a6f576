"""What the commands print: tables of models, the winner, files, the time; and progress.

For programs there is a document of each, which `outputs.print_json` prints.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from jaxem.cli.components import new_table, print_table, printable, say, show_components
from jaxem.cli.families import devices_of
from jaxem.cli.outputs import Document
from jaxem.cli.request import Job
from jaxem.core.repr import Table as Cells
from jaxem.core.status import Status
from jaxem.devices.placement import placement_of
from jaxem.models import MixtureParams
from jaxem.results.fit import Fit
from jaxem.results.sweep import Sweep
from jaxem.results.text import TITLES, sweep_table


def size_text(n: int, d: int) -> str:
    """Rows and columns in words."""
    return f"{n} rows, {d} column{'s' * (d > 1)}"


def devices_text(job: Job) -> str:
    """The number of devices that share the starts; empty unless the user chose devices."""
    if job.devices is None:
        return ""
    count = placement_of(devices_of(job.devices)).devices
    return f", on {count} device{'s' * (count > 1)}"


def show_sweep(swept: Sweep, title: str) -> None:
    """A line for each model, its covariance type where there are several; a star marks the best."""
    say(title)
    several = len({row.covariance_type for row in swept.rows}) > 1
    cells = sweep_table(swept).without("parameters", "" if several else TITLES["covariance_type"])
    show_cells(cells, TITLES[swept.criterion])
    say("BIC, AIC, ICL: lower is better. At best: sound starts that ended at the best one.")


def show_cells(cells: Cells, judged: str = "") -> None:
    """A table whose last column are statuses, by their names as everywhere on the terminal; a star
    marks the best of several rows in the column `judged`."""
    table = new_table(cells.head)
    for column in table.columns[:-1]:
        column.no_wrap = True
    table.columns[-1].justify = "left"
    for number, row in enumerate(cells.rows):
        star = judged if number == cells.best and len(cells.rows) > 1 else ""
        texts = [f"{cell}{'*' * (t == star)}" for t, cell in zip(cells.head, row, strict=True)]
        table.add_row(*map(printable, texts[:-1]), printable(texts[-1]).upper())
    print_table(table)


def ending(fit: Fit) -> str:
    """The status of one fit, and its iterations."""
    return f"{Status(int(fit.status)).name} after {int(fit.n_iter)} iterations"


def show_best(swept: Sweep, fit: Fit, names: list[str]) -> None:
    """The best fit of the best model of a sweep."""
    best = swept.best
    kind = f"{printable(best.covariance_type)} covariance, " if best.covariance_type else ""
    say(f"\nBest {TITLES[swept.criterion]}: K = {best.n_components}, {kind}{ending(fit)}")
    show_components(best.model, fit.params, names)


def show_files(**paths: Path | None) -> None:
    """A line for each file that was written."""
    for what, path in paths.items():
        if path is not None:
            say(f"{what}: {path}")


def show_time(total: float, compiling: float) -> None:
    """Seconds in all, and the seconds of compiling among them."""
    say(f"\n{total:.1f} s, of which {min(compiling, total):.1f} s compiling")


def show_progress(text: str) -> None:
    """Renew a line on stderr, only on a terminal; an empty text removes it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


# For programs --------------------------------------------------------------------------------


def params_document(params: MixtureParams) -> Document:
    """Parameters by name."""
    return {"weights": params.weights, **vars(params.components)}


def fit_document(fit: Fit) -> Document:
    """The ending and the parameters of one fit."""
    return {
        "status": Status(int(fit.status)).name, "n_iter": fit.n_iter,
        "log_likelihood": fit.log_likelihood, **params_document(fit.params),
    }  # fmt: skip


def sweep_document(swept: Sweep, fit: Fit | None) -> Document:
    """All models of a sweep, and `fit` of the best one; None where no fit is sound."""
    models: list[Mapping[str, object]] = [
        {**line, "statuses": row.fits.status_counts()}
        for line, row in zip(swept.table(), swept.rows, strict=True)
    ]
    best = None
    if fit is not None:
        best = {
            "covariance_type": swept.best.covariance_type or None,
            "model": repr(swept.best.model), "n_components": swept.best.n_components,
            **fit_document(fit),
        }  # fmt: skip
    return {"criterion": swept.criterion, "models": models, "best": best}
