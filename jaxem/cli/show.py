"""`jaxem show`: the content of a file, as tables or as JSON."""

from pathlib import Path

import numpy as np

from jaxem import io
from jaxem.cli import outputs, report
from jaxem.cli.components import new_table, print_table, printable, say, show_components
from jaxem.cli.selection import content_of
from jaxem.core.repr import total
from jaxem.core.status import MESSAGES, Status
from jaxem.models import MixtureParams
from jaxem.results.fit import Fit
from jaxem.results.sweep import Sweep
from jaxem.results.text import data_set_table

#: Most data sets that are listed.
MAX_DATA_SETS = 20


def run_show(path: Path, as_json: bool) -> None:
    """Print the content of a file; ValueError for a file that cannot be loaded."""
    file = io.read(path)
    if as_json:
        outputs.print_json(_document(path, file))
        return
    programs = ", ".join(f"{name} {version}" for name, version in file.versions.items())
    say(f"{path}: {_title(file)}")
    say(f"written by {printable(programs)}; file format {io.FORMAT}")
    _show_metadata(file)
    if file.kind == "sweep":
        report.show_sweep(file.value, "")
        if file.value.sound:
            report.show_best(file.value, file.value.best.fits.best(), content_of("", file).columns)
    elif file.kind == "fit":
        _show_fit(file)
    elif file.kind == "params" and np.ndim(file.value.weights) == 1:
        _show_mixture(file, file.value)


def _title(file: io.File) -> str:
    if file.kind == "sweep":
        return f"a sweep of {len(file.value.rows)} models"
    model = "" if file.model is None else f" of {printable(repr(file.model))}"
    if file.kind == "model":
        return f"a model, {printable(repr(file.model))}"
    lanes = np.shape(file.value.status if file.kind == "fit" else file.value.weights[..., 0])
    if not lanes:
        return f"{'one fit' if file.kind == 'fit' else 'parameters'}{model}"
    many = " × ".join(map(str, lanes))
    return f"{many} {'fits' if file.kind == 'fit' else 'sets of parameters'}{model}"


def _show_metadata(file: io.File) -> None:
    known = file.metadata
    parts = [printable(known["source"])] if "source" in known else []
    parts += [f"{known['n_rows']} rows"] if "n_rows" in known else []
    parts += [f"columns {printable(', '.join(known['columns']))}"] if known.get("columns") else []
    if parts:
        say(f"data: {'; '.join(parts)}")
    if known.get("table"):
        _show_numbers(known["table"])


def _show_numbers(rows: list[dict[str, object]]) -> None:
    """The table over K that `jaxem fit` left in the file."""
    head = list(rows[0])
    table = new_table([printable(name) for name in head])
    for row in rows:
        cells = [row.get(name) for name in head]
        table.add_row(*[f"{v:.2f}" if isinstance(v, float) else printable(str(v)) for v in cells])
    print_table(table)


def _show_fit(file: io.File) -> None:
    fit: Fit = file.value
    if np.ndim(fit.status) > 1:
        report.show_cells(data_set_table(fit, MAX_DATA_SETS))
        return
    if np.ndim(fit.status) == 1:
        for name, number in fit.status_counts().items():
            say(f"{number} {name}: {MESSAGES[Status[name]]}")
        optima = fit.optima()
        say(f"{len(optima.values)} distinct optima; {optima.best_count} at the best")
        if not fit.sound.any():
            return
        fit = fit.best()
    likelihood, objective = float(fit.log_likelihood), float(fit.objective)
    say(f"{report.ending(fit)}, log-likelihood {total(likelihood)}, objective {total(objective)}")
    _show_mixture(file, fit.params)


def _show_mixture(file: io.File, params: MixtureParams) -> None:
    if file.model is None:
        say(printable(repr(params)))
    else:
        show_components(file.model, params, content_of("", file).columns)


def _document(path: Path, file: io.File) -> outputs.Document:
    """The content for other programs; of many fits, all likelihoods and the best parameters."""
    out: outputs.Document = {
        "file": str(path), "kind": file.kind, "format": io.FORMAT, "versions": file.versions,
        "facts": file.metadata,
    }  # fmt: skip
    if file.model is not None:
        out["model"] = repr(file.model)
    if file.kind == "sweep":
        swept: Sweep = file.value
        fit = swept.best.fits.best() if swept.sound else None
        return {**out, **report.sweep_document(swept, fit)}
    if file.kind == "params":
        return {**out, **report.params_document(file.value)}
    if file.kind == "model":
        return out
    fit = file.value
    out |= {"shape": np.shape(fit.status), "statuses": fit.status_counts()}
    out |= {"log_likelihood": fit.log_likelihood, "n_iter": fit.n_iter, "best": None}
    if np.ndim(fit.status) == 1:
        out["best_count"] = fit.optima().best_count
    if np.ndim(fit.status) < 2 and fit.sound.any():
        out["best"] = report.fit_document(fit.best())
    return out
