"""Exit codes: 0 done, 1 no sound fit, 2 something the user can mend, told in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from jaxem.cli.components import printable

NO_SOUND_FIT, MENDABLE = 1, 2


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
