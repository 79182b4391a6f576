"""Build the documentation: python -m docs [FOLDER]. Every warning is an error."""

import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(folder: str | None = None) -> int:
    """Build into FOLDER, else build/docs; the exit status is Sphinx's."""
    try:
        from sphinx.cmd.build import main as sphinx
    except ImportError:
        print("Building needs the docs extra: pip install -e '.[docs]'", file=sys.stderr)
        return 1
    out = Path(folder) if folder else HERE.parent / "build" / "docs"
    # -E: guides are run afresh; -j: two at a time.
    status = sphinx(["-W", "--keep-going", "-q", "-E", "-j", "2", str(HERE), str(out)])
    if status == 0:
        print(f"{out / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
