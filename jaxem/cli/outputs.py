"""Places to write to, looked at before the long work starts."""

import os
from pathlib import Path


def check_folder(folder: Path, option: str) -> None:
    """ValueError unless files can be written into `folder`."""
    if not folder.is_dir():
        raise ValueError(f"{option}: the folder {folder} does not exist; make it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{option}: the folder {folder} cannot be written to.")


def check_file(path: Path, option: str) -> None:
    """ValueError unless a file can be written at `path`."""
    check_folder(path.parent, option)
    if path.is_dir():
        raise ValueError(f"{option}: {path} is a folder; name a file.")
    if path.exists() and not os.access(path, os.W_OK):
        raise ValueError(f"{option}: {path} cannot be written to.")


def check_picture(path: Path, option: str = "--plot") -> None:
    """ValueError unless matplotlib is here and can write a picture at `path`."""
    check_file(path, option)
    if not has_matplotlib():
        raise ValueError(f"{option} needs matplotlib: pip install 'jaxem[plot]'")
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lower().lstrip(".") not in known:
        raise ValueError(f"{option}: {path} must end in one of {', '.join(sorted(known))}.")


def has_matplotlib() -> bool:
    """Whether pictures can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True
