"""The page: white, quiet axes, and colours and markers that any colour vision can tell apart."""

from pathlib import Path
from typing import Any

#: Okabe and Ito's palette, the yellow (faint on white) last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
#: A second cue beside the colour, of another period: 72 components before a pair repeats.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
GREY = "#666666"
#: Inches of a new figure of one panel.
SIZE = (6.0, 4.2)


def new_figure(width: float, height: float) -> Any:
    """An empty white matplotlib Figure, in inches, that lays out its own axes.

    >>> plot.new_figure(5, 4).get_size_inches()
    array([5., 4.])
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def drawn(ax: Any, draw: Any, *arguments: Any) -> Any:
    """`ax` with what `draw(ax, *arguments)` draws. None: the axes of a new pyplot figure, which
    notebooks show and `plt.show` opens; none is left behind when drawing fails.

    ImportError, saying what to install, without matplotlib.
    """
    if ax is not None:
        draw(ax, *arguments)
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Pictures need matplotlib: pip install 'jaxem[plot]'.") from error
    figure, ax = plt.subplots(figsize=SIZE, layout="constrained", facecolor="white")
    try:
        draw(ax, *arguments)
    except BaseException:
        plt.close(figure)
        raise
    return ax


def save(figure: Any, path: str | Path) -> None:
    """Write a figure; the ending of the path names the format.

    >>> plot.save(plot.new_figure(5, 4), "empty.png")
    """
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
