"""`jaxem show`: what a file holds."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from jaxem import io
from jaxem.cli import outputs, report
from jaxem.cli.components import print_table, printable, say, show_components
from jaxem.cli.selection import whole_of
from jaxem.core.repr import total
from jaxem.core.status import MESSAGES, Status

#: Data sets listed one by one.
MOST = 20


def run_show(path: Path, as_json: bool) -> None:
    """Print what a file holds; ValueError for one that cannot be loaded."""
    file = io.read(path)
    if as_json:
        outputs.print_json(_document(path, file))
        return
    wrote = printable(", ".join(f"{name} {one}" for name, one in file.versions.items()))
    say(f"{path}: {_what(file)}")
    say(f"written by {wrote}; file format {io.FORMAT}")
    _show_facts(file)
    if file.kind == "sweep":
        _show_sweep(file)
    elif file.kind == "fit":
        _show_fit(file)
    elif file.kind == "params":
        _show_params(file)


def _what(file: io.File) -> str:
    if file.kind == "sweep":
        return f"a sweep of {len(file.thing.rows)} models"
    model = "" if file.model is None else f" of {printable(repr(file.model))}"
    if file.kind == "model":
        return f"a model, {printable(repr(file.model))}"
    lanes = np.shape(file.thing.status if file.kind == "fit" else file.thing.weights[..., 0])
    if not lanes:
        return f"{'one fit' if file.kind == 'fit' else 'parameters'}{model}"
    many = " × ".join(map(str, lanes))
    return f"{many} {'fits' if file.kind == 'fit' else 'sets of parameters'}{model}"


def _show_facts(file: io.File) -> None:
    parts = [printable(file.facts[name]) for name in ("source",) if name in file.facts]
    parts += [f"{file.facts['n_rows']} rows"] if "n_rows" in file.facts else []
    names = file.facts.get("columns")
    parts += [f"columns {printable(', '.join(names))}"] if names else []
    if parts:
        say(f"data: {'; '.join(parts)}")
    if file.facts.get("table"):
        _show_numbers(file.facts["table"])


def _show_numbers(rows: list[dict[str, Any]]) -> None:
    """The table over K that `jaxem fit` left in the file."""
    head = list(rows[0])
    table = Table(*map(printable, head))
    for column in table.columns:
        column.justify = "right"
    for row in rows:
        cells = [row.get(name) for name in head]
        table.add_row(*[f"{v:.2f}" if isinstance(v, float) else printable(str(v)) for v in cells])
    print_table(table)


def _show_sweep(file: io.File) -> None:
    found = any(row.criteria is not None for row in file.thing.rows)
    report.show_sweep(file.thing, "")
    if found:
        report.show_best(file.thing, file.thing.best.fits.best(), _names(file))


def _show_fit(file: io.File) -> None:
    fit = file.thing
    if np.ndim(fit.status) > 1:
        _show_data_sets(fit)
        return
    if np.ndim(fit.status) == 1:
        for name, number in report.statuses(fit.status).items():
            say(f"{number} {name}: {MESSAGES[Status[name]]}")
        optima = fit.optima()
        say(f"{len(optima.values)} distinct optima; {optima.best_count} at the best")
        if not fit.sound.any():
            return
        fit = fit.best()
    likelihood, objective = float(fit.log_likelihood), float(fit.objective)
    say(f"{report.ending(fit)}, log-likelihood {total(likelihood)}, objective {total(objective)}")
    _show_mixture(file, fit.params)


def _show_data_sets(fit: Any) -> None:
    """The best start of each of the first data sets."""
    table = Table("data set", "log-likelihood", "at best", "ended")
    for i, own in enumerate(fit[i] for i in range(min(len(fit.status), MOST))):
        if np.ndim(own.status) != 1:
            say(f"axes {list(np.shape(fit.status))}")
            return
        ended = ", ".join(f"{n} {name}" for name, n in report.statuses(own.status).items())
        best = f"{float(own.best().log_likelihood):.4f}" if own.sound.any() else "-"
        table.add_row(str(i), best, f"{own.optima().best_count}/{own.status.size}", ended)
    print_table(table)
    if len(fit.status) > MOST:
        say(f"and {len(fit.status) - MOST} more data sets")


def _show_params(file: io.File) -> None:
    if np.ndim(file.thing.weights) == 1:
        _show_mixture(file, file.thing)


def _show_mixture(file: io.File, params: Any) -> None:
    if file.model is None:
        say(printable(repr(params)))
    else:
        show_components(file.model, params, _names(file))


def _names(file: io.File) -> list[str]:
    """Names of the columns, numbered ones where the file has none."""
    return whole_of("", file).columns


def _document(path: Path, file: io.File) -> dict[str, Any]:
    """The same for machines: of a fit with axes, all likelihoods, and the best one's parameters."""
    out: dict[str, Any] = {
        "file": str(path), "kind": file.kind, "format": io.FORMAT, "versions": file.versions,
        "facts": file.facts,
    }  # fmt: skip
    if file.model is not None:
        out["model"] = repr(file.model)
    if file.kind == "sweep":
        found = any(row.criteria is not None for row in file.thing.rows)
        return {**out, **report.sweep_document(file.thing, found)}
    if file.kind == "params":
        return {**out, "weights": file.thing.weights, **vars(file.thing.components)}
    if file.kind == "model":
        return out
    fit = file.thing
    out |= {"shape": np.shape(fit.status), "statuses": report.statuses(fit.status)}
    out |= {"log_likelihood": fit.log_likelihood, "n_iter": fit.n_iter, "best": None}
    if np.ndim(fit.status) == 1:
        out["best_count"] = fit.optima().best_count
    if np.ndim(fit.status) < 2 and fit.sound.any():
        best = fit.best()
        out["best"] = {
            "status": Status(int(best.status)).name, "n_iter": best.n_iter,
            "log_likelihood": best.log_likelihood, "weights": best.params.weights,
            **vars(best.params.components),
        }  # fmt: skip
    return out
