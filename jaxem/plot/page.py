"""The page: white, quiet axes, and colours and markers that any colour vision can tell apart."""

from pathlib import Path
from typing import Any

#: Okabe and Ito's palette, the yellow (faint on white) last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
#: A second cue beside the colour, of another period: 72 components before a pair repeats.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
GREY = "#666666"


def new_figure(width: float, height: float) -> Any:
    """An empty white matplotlib Figure, in inches, that lays out its own axes."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save(figure: Any, path: str | Path) -> None:
    """Write a figure; the ending of the path names the format."""
    figure.savefig(path, dpi=150, facecolor="white")


def colour(k: int) -> str:
    """The colour of component k."""
    return COLOURS[k % len(COLOURS)]


def marker(k: int) -> str:
    """The marker of component k."""
    return MARKERS[k % len(MARKERS)]


def label(axis: Any, x: str, y: str, title: str | None = None) -> None:
    """Name both axes, and take away the frame's top and right."""
    axis.set(xlabel=x, ylabel=y)
    if title is not None:
        axis.set_title(title, fontsize="medium")
    if "right" in axis.spines:
        axis.spines[["top", "right"]].set_visible(False)
