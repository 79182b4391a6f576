"""Arguments and exit codes: 0 done, 1 no sound fit, 2 something the user can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from jaxem.cli.demo import list_examples, run_examples
from jaxem.cli.fit import Job, run_job

app = typer.Typer(
    help="Mixtures by EM, many starts at once.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@contextmanager
def _mendable() -> Iterator[None]:
    """A ValueError becomes one line on stderr and exit code 2."""
    try:
        yield
    except ValueError as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from error


@app.command("fit")
def fit_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_NAME",
            help="CSV, NPY or Parquet file, or a bundled data set: old_faithful, galaxies, "
            "diabetes.",
        ),
    ],
    k: Annotated[str, typer.Option("-k", help="Number of components: 3, or 1:9 for each.")] = "1:4",
    family: Annotated[
        str,
        typer.Option(help="gaussian, poisson, bernoulli, binomial, exponential or categorical."),
    ] = "gaussian",
    covariance: Annotated[
        str | None, typer.Option(help="full (default), tied, diag, spherical, or an mclust code.")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Trials of a binomial count.")] = None,
    starts: Annotated[int, typer.Option(help="Random starts for each K.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the random starts.")] = 0,
    tol: Annotated[
        float, typer.Option(help="Stop when the mean log-likelihood of a row gains less.")
    ] = 1e-6,
    max_iter: Annotated[int, typer.Option(help="Most iterations of a start.")] = 1000,
    race: Annotated[
        bool | None,
        typer.Option(
            "--race/--no-race",
            help="Run all starts for a few iterations and the best to the end (from 64 starts on "
            "unless you say).",
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns to fit: names, or numbers from 0: a,b or 0,3.")
    ] = None,
    sample_weight: Annotated[
        str | None, typer.Option(help="The column that holds the weight of each row.")
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="CSV opens with names, or not.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture: .png, .pdf, .svg.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the winner's parameters: .npz.")] = None,
) -> None:
    """Fit a mixture for every K from many starts, and show the one of lowest BIC."""
    job = Job(
        source=source, k=k, family=family, covariance=covariance, trials=trials, starts=starts,
        seed=seed, tol=tol, max_iter=max_iter, columns=columns, sample_weight=sample_weight,
        header=header, race=race, plot=plot, out=out,
    )  # fmt: skip
    with _mendable():
        found = run_job(job)
    if not found:
        typer.echo("error: no start of any K gave a sound fit; see the statuses above.", err=True)
        raise typer.Exit(1)


@app.command("demo")
def demo_command(
    names: Annotated[list[str] | None, typer.Argument(help="Examples to run, or all.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("."),
) -> None:
    """List the textbook examples, or run some of them and save their pictures."""
    with _mendable():
        if names:
            run_examples(names, out)
        else:
            list_examples()
