"""The commands and their arguments. Exit codes: 0 done, 1 no sound fit, 2 an error to mend."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import jax
import typer

from jaxem.cli import options as o
from jaxem.cli.bench import run_bench
from jaxem.cli.components import printable
from jaxem.cli.demo import list_examples, run_examples
from jaxem.cli.predict import Draw, Rows, run_predict, run_sample
from jaxem.cli.request import Job
from jaxem.cli.show import run_show
from jaxem.cli.sweep import run_fit, run_sweep
from jaxem.core.compilation import enable_compilation_cache
from jaxem.core.version import __version__
from jaxem.demo import EXAMPLES

NO_SOUND_FIT, MENDABLE = 1, 2

app = typer.Typer(
    help="Mixtures by EM, many starts at once.",
    epilog="Exit codes: 0 done, 1 no sound fit, 2 something you can mend, told on stderr.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@contextmanager
def mendable() -> Iterator[None]:
    """Turn ValueError and OSError into one line on stderr and exit code 2."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output is gone: there is nobody to tell
    except (ValueError, OSError) as error:
        fail(str(error), MENDABLE)


def fail(message: str, code: int) -> None:
    """Print one line on stderr and exit."""
    typer.echo(f"error: {printable(' '.join(message.split()))}", err=True)
    raise typer.Exit(code)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jaxem {__version__}")
        raise typer.Exit


def keep_programs() -> None:
    """Keep compiled programs in the user's cache folder. Nothing is kept, and nobody is told, where
    that folder cannot be written; a folder that the user gave JAX stays."""
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    # A full disk, or a program that another process has half written, only costs compiling again.
    warnings.filterwarnings("ignore", message=".*persistent compilation cache")
    with suppress(OSError):
        folder = enable_compilation_cache()
        if not os.access(folder, os.W_OK | os.X_OK):
            jax.config.update("jax_compilation_cache_dir", None)


@app.callback()
def main_command(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version."),
    ] = False,
    cache: Annotated[
        bool,
        typer.Option(envvar="JAXEM_CACHE", help="Keep compiled programs in the cache folder."),
    ] = True,
) -> None:
    """Mixtures by EM, many starts at once."""
    if cache:
        keep_programs()


@app.command("fit")
def fit_command(
    source: o.Source, k: o.K = "1:4", family: o.Family = "gaussian",
    covariance: o.Covariance = None, trials: o.Trials = None, starts: o.Starts = 100,
    seed: o.Seed = 0, tol: o.Tol = 1e-6, max_iter: o.MaxIter = 1000, race: o.Race = None,
    devices: o.Devices = None, memory_limit: o.MemoryLimit = None, columns: o.Columns = None,
    sample_weight: o.SampleWeight = None, header: o.Header = None, plot: o.Plot = None,
    out: o.Out = None, force: o.Force = False, split_merge: o.SplitMerge = 0, json: o.Json = False,
) -> None:  # fmt: skip
    """Fit every K from many starts.

    Shows the mixture of lowest BIC.
    --out keeps it for `jaxem show`, `predict` and `sample`, and for jaxem.load in Python.
    """
    job = Job(**locals())  # the arguments are its fields
    with mendable():
        found = run_fit(job)
    if not found:
        fail("no start of any K gave a sound fit; see the statuses above.", NO_SOUND_FIT)


@app.command("sweep")
def sweep_command(
    source: o.Source, k: o.K = "1:9", family: o.Family = "gaussian",
    covariance: o.Covariances = None, trials: o.Trials = None, criterion: o.Criterion = "bic",
    folds: o.Folds = 0, starts: o.Starts = 50, seed: o.Seed = 0, tol: o.Tol = 1e-6,
    max_iter: o.MaxIter = 1000, race: o.Race = None, devices: o.Devices = None,
    memory_limit: o.MemoryLimit = None, columns: o.Columns = None,
    sample_weight: o.SampleWeight = None, header: o.Header = None,
    split_merge: o.SplitMerge = 0, plot: o.Plot = None, out: o.Out = None,
    force: o.Force = False, json: o.Json = False,
) -> None:  # fmt: skip
    """Choose among K and covariance types.

    Fits every number of components with every covariance type, and shows the best by a criterion.
    --out keeps all starts of all models, --plot draws the criterion with the spread of the starts.
    """
    job = Job(**locals())
    with mendable():
        found = run_sweep(job)
    if not found:
        fail("no start of any model gave a sound fit; see the statuses above.", NO_SOUND_FIT)


@app.command("predict")
def predict_command(
    file: o.Saved,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="CSV, NPY, Parquet or Arrow file, a bundled data set, or - for stdin.",
        ),
    ],
    proba: Annotated[
        bool, typer.Option("--proba", help="Add p1, p2, ...: the probability of each component.")
    ] = False,
    score: Annotated[bool, typer.Option("--score", help="Add each row's log density.")] = False,
    columns: o.Columns = None,
    header: o.Header = None,
    data_set: o.DataSet = None,
    memory_limit: o.MemoryLimit = None,
    out: o.CsvOut = None,
    force: o.Force = False,
    json: o.Json = False,
) -> None:
    """Label the rows of a table.

    Says which component each row most probably belongs to: CSV, one line a row.
    Components are numbered from 1, as `jaxem show` lists them. Columns are found by the names that
    the file has kept; a table without names needs as many columns, --columns names others.
    """
    job = Rows(**locals())
    with mendable():
        run_predict(job)


@app.command("sample")
def sample_command(
    file: o.Saved,
    n: Annotated[int, typer.Option("-n", help="Rows to draw.")] = 100,
    seed: o.Seed = 0,
    component: Annotated[
        bool, typer.Option("--component", help="Add the component that each row came from.")
    ] = False,
    data_set: o.DataSet = None,
    out: o.CsvOut = None,
    force: o.Force = False,
    json: o.Json = False,
) -> None:
    """Draw rows from a fitted mixture.

    CSV with the names of its columns.
    """
    job = Draw(**locals())
    with mendable():
        run_sample(job)


@app.command("show")
def show_command(file: o.Saved, json: o.Json = False) -> None:
    """Show what a file holds.

    Weights and parameters, likelihoods, criteria, and how the fits ended.
    """
    with mendable():
        run_show(file, json)


@app.command("demo")
def demo_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Examples to run, or all.", autocompletion=o.among(*EXAMPLES, "all")),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures.")] = Path("."),
    force: o.Force = False,
    json: o.Json = False,
) -> None:
    """Textbook examples of EM, told.

    Lists them, or runs some and saves their pictures.
    """
    with mendable():
        if names:
            run_examples(names, out, force, json)
        else:
            list_examples(json)


@app.command("bench")
def bench_command(
    questions: Annotated[
        list[str] | None, typer.Argument(help="Questions to answer; all without, --list names them")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes: a smoke run.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Name the questions.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Last answers, measure nothing.")] = False,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw, too.")] = True,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for JSON, figures.")
    ] = None,
    json: o.Json = False,
) -> None:
    """Run the benchmarks of a checkout.

    Their answers are JSON files.
    """
    flags = {"--quick": quick, "--list": listed, "--last": last, "--no-figures": not figures}
    with mendable():
        status = run_bench([*(questions or []), *[f for f, on in flags.items() if on]], out, json)
    if status:
        raise typer.Exit(2 if status == 2 else 1)
