"""Options that several commands share, and the values a shell can complete."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from jaxem import datasets
from jaxem.api.many_models import CRITERIA
from jaxem.cli.families import COVARIANCES, FAMILIES


def among(*values: str) -> Callable[[str], list[str]]:
    """A completion: the `values` that begin with the text typed after the last comma."""

    def complete(incomplete: str) -> list[str]:
        done, comma, last = incomplete.rpartition(",")
        return [done + comma + value for value in values if value.startswith(last)]

    return complete


_COVARIANCE = "full, tied, diag, spherical, or an mclust code"

Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE_OR_NAME",
        help="CSV, NPY, Parquet or Arrow file, a folder of the last three, - for CSV from standard "
        "input, or a bundled data set: old_faithful, galaxies, diabetes.",
        autocompletion=lambda incomplete: [
            *among(*datasets.names())(incomplete),
            *sorted(str(path) for path in Path().glob(f"{incomplete}*") if incomplete),
        ],
    ),
]
K = Annotated[str, typer.Option("-k", help="Number of components: 3, or 1:9 for each.")]
Family = Annotated[
    str,
    typer.Option(
        help="gaussian, poisson, bernoulli, binomial, exponential or categorical.",
        autocompletion=among(*FAMILIES),
    ),
]
Covariance = Annotated[
    str | None,
    typer.Option(help=f"{_COVARIANCE}; full unless you say.", autocompletion=among(*COVARIANCES)),
]
Covariances = Annotated[
    str | None,
    typer.Option(
        help=f"{_COVARIANCE}, several separated by commas; full,tied,diag,spherical unless you "
        "say.",
        autocompletion=among(*COVARIANCES),
    ),
]
Criterion = Annotated[
    str,
    typer.Option(
        help="Criterion of the best model: bic, aic, icl, icl_entropy, or held_out (with --folds).",
        autocompletion=among(*CRITERIA),
    ),
]
Folds = Annotated[int, typer.Option(help="Number of folds of the cross-validation; 0: none.")]
Trials = Annotated[int | None, typer.Option(help="Trials of a binomial count.")]
Starts = Annotated[int, typer.Option(help="Random starts for each model.")]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers.")]
Tol = Annotated[float, typer.Option(help="Stop when the mean log-likelihood of a row gains less.")]
MaxIter = Annotated[int, typer.Option(help="Most iterations of a start.")]
Race = Annotated[
    bool | None,
    typer.Option(
        "--race/--no-race",
        help="Run all starts for a few iterations and the best to the end (from 64 starts on "
        "unless you say).",
    ),
]
SplitMerge = Annotated[
    int,
    typer.Option(
        "--split-merge",
        "--generations",
        help="Generations of proposals after the race, which split and merge components of the "
        "best fits (--generations is the old name).",
    ),
]
Devices = Annotated[
    str | None,
    typer.Option(
        help="Share the starts out over devices: all, a number, or cpu, gpu, tpu (JAX's default "
        "device unless you say).",
        autocompletion=among("all", "cpu", "gpu", "tpu"),
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        help="Memory for a fit, such as 300MB (a quarter of the machine's unless you say). NPY, "
        "Parquet and Arrow files that are larger, and folders of them, are read in blocks.",
    ),
]
Columns = Annotated[
    str | None, typer.Option(help="Columns to take: names, or numbers from 0: a,b or 0,3.")
]
SampleWeight = Annotated[
    str | None, typer.Option(help="The column that holds the weight of each row.")
]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="CSV opens with names, or not.")
]
Plot = Annotated[Path | None, typer.Option(help="Write a picture: .png, .pdf, .svg.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write the result: .npz.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
Saved = Annotated[
    Path, typer.Argument(metavar="FILE", help="A file that jaxem fit, jaxem sweep or "
                         "jaxem.save wrote.")
]  # fmt: skip
DataSet = Annotated[
    int | None,
    typer.Option(help="Which data set of a file with fits of many, counted from 0."),
]
CsvOut = Annotated[
    Path | None, typer.Option("--out", "-o", help="CSV file to write; standard output without.")
]
