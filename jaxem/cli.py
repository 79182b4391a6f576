"""The command line: `jaxem fit` prints the table of fits and the winner's parameters."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np


def main() -> None:
    """Entry point of the `jaxem` command."""
    try:
        import rich  # noqa: F401
        import typer
    except ImportError as error:
        raise SystemExit("The command line needs two packages: pip install 'jaxem[cli]'") from error
    app = typer.Typer(help="Mixtures by EM, many starts at once.", no_args_is_help=True)
    app.callback()(lambda: None)
    app.command("fit")(_command(typer))
    app()


def _command(typer):
    def fit_command(
        source: Annotated[str, typer.Argument(help="CSV or NPY file, or a bundled data set.")],
        k: Annotated[str, typer.Option("-k", help="Components: 3 or 1:9.")] = "1:4",
        covariance: Annotated[str, typer.Option(help="full, tied, diag or spherical.")] = "full",
        starts: Annotated[int, typer.Option(help="Random starts for each K.")] = 100,
        seed: int = 0,
        tol: float = 1e-6,
        max_iter: int = 1000,
        plot: Annotated[Path | None, typer.Option(help="Write a picture here.")] = None,
        out: Annotated[Path | None, typer.Option(help="Write parameters here (NPZ).")] = None,
    ) -> None:
        """Fit Gaussian mixtures and choose the number of components by BIC."""
        try:
            run(source, k, covariance, starts, seed, tol, max_iter, plot, out)
        except ValueError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from error

    return fit_command


def run(source, k, covariance, starts, seed, tol, max_iter, plot, out) -> None:
    """Fit every K, print, and write what was asked for."""
    from rich.console import Console
    from rich.table import Table

    from jaxem.tables import read_table

    x, names = read_table(source)
    table = Table(title=f"{source}: {len(x)} rows, {x.shape[1]} columns, {covariance} covariance")
    for column in ("K", "log-likelihood", "BIC", "AIC", "ICL", "reached best", "starts", "seconds"):
        table.add_column(column, justify="right", no_wrap=column != "starts")
    rows = [_fit_one(x, n, covariance, starts, seed, tol, max_iter) for n in parse_range(k)]
    for row in rows:
        table.add_row(*row["cells"])
    console = Console()
    console.print(table)
    sound = [row for row in rows if row["best"] is not None]
    if not sound:
        raise ValueError("no sound fit for any K; use fewer components or a simpler covariance.")
    chosen = min(sound, key=lambda row: row["bic"])
    best = chosen["best"]
    console.print(f"Lowest BIC: K = {chosen['k']}; columns {', '.join(names)}")
    console.print("weights", np.round(best.params.weights, 4))
    console.print("means", np.round(best.params.means, 4), sep="\n")
    console.print("covariances", np.round(best.params.covariances, 4), sep="\n")
    if out is not None:
        with open(out, "wb") as file:
            np.savez(
                file,
                weights=best.params.weights,
                means=best.params.means,
                covariances=best.params.covariances,
                log_likelihood=best.log_likelihood,
                covariance_type=covariance,
            )
    if plot is not None:
        from jaxem.plot import fit_figure

        curve = {row["k"]: row["bic"] for row in sound}
        fit_figure(chosen["model"], best.params, x, names, curve).savefig(plot, dpi=150)
        console.print(f"picture: {plot}")


def parse_range(text: str) -> list[int]:
    """ "3" or "1:9" (both ends included) as a list; ValueError for anything else."""
    parts = text.split(":")
    if not all(part.isdigit() for part in parts) or len(parts) > 2:
        raise ValueError(f"-k takes a number like 3 or a range like 1:9; got {text!r}.")
    low, high = int(parts[0]), int(parts[-1])
    if low < 1 or high < low:
        raise ValueError(f"-k must run from at least 1 upwards; got {text!r}.")
    return list(range(low, high + 1))


def _fit_one(x, k, covariance, starts, seed, tol, max_iter) -> dict:
    import jax

    import jaxem

    began = time.perf_counter()
    model = jaxem.Mixture(jaxem.Gaussian(covariance), n_components=k)
    fits = jaxem.fit(
        model, x, key=jax.random.key(seed), n_starts=starts, tol=tol, max_iter=max_iter
    )
    codes, counts = np.unique(fits.status, return_counts=True)
    ended = ", ".join(f"{n} {jaxem.Status(c).name}" for c, n in zip(codes, counts, strict=True))
    seconds = f"{time.perf_counter() - began:.1f}"
    if not fits.sound.any():
        cells = [str(k), "-", "-", "-", "-", "-", ended, seconds]
        return {"k": k, "best": None, "cells": cells}
    best, p = fits.best(), model.n_parameters(x.shape[1])
    likelihood = float(best.log_likelihood)
    bic, aic = p * np.log(len(x)) - 2 * likelihood, 2 * p - 2 * likelihood
    r = np.asarray(model.predict_proba(best.params, x), float)
    entropy = -np.sum(r * np.log(np.maximum(r, 1e-300)))
    near = np.asarray(fits.log_likelihood) > likelihood - 1e-3 * max(1.0, abs(likelihood) * 1e-2)
    reached = int((fits.sound & near).sum())
    numbers = [f"{v:.3f}" for v in (likelihood, bic, aic, bic + 2 * entropy)]
    cells = [str(k), *numbers, f"{reached}/{starts}", ended, seconds]
    return {"k": k, "best": best, "bic": bic, "model": model, "cells": cells}
