"""The command line: fit, sweep, predict, sample, show, demo and bench.

A guest: may import any room. Look first at `app`.
"""


def main() -> None:
    """Entry point of the `jaxem` command."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError as error:
        raise SystemExit("The command line needs two packages: pip install 'jaxem[cli]'") from error
    from jaxem.cli.app import app

    app()
