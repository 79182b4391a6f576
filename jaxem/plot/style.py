"""Style: white pages, quiet axes, colours and markers for any colour vision."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

#: Okabe and Ito's palette, the yellow (faint on white) last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
#: A second cue besides the colour. 9 markers × 8 colours: 72 components before a pair repeats.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
GREY = "#666666"
#: Inches of a new figure of one panel.
SIZE = (6.0, 4.2)


def new_figure(width: float, height: float) -> "Figure":
    """An empty white matplotlib Figure, in inches, with constrained layout.

    >>> plot.new_figure(5, 4).get_size_inches()
    array([5., 4.])
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def drawn(ax: "Axes | None", draw: Callable[..., object], *arguments: object) -> "Axes":
    """`ax` after `draw(ax, *arguments)`. None: the axes of a new pyplot figure, which notebooks
    show and `plt.show` opens; the figure is closed if drawing fails.

    ImportError without matplotlib, with the command to install it.
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


def save(figure: "Figure", path: str | Path) -> None:
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


def label(axis: "Axes", x: str, y: str, title: str | None = None) -> None:
    """Name both axes, and take away the frame's top and right."""
    axis.set(xlabel=x, ylabel=y)
    if title is not None:
        axis.set_title(title, fontsize="medium")
    if "right" in axis.spines:
        axis.spines[["top", "right"]].set_visible(False)


def whole_ticks(side: "Axis") -> None:
    """Ticks at whole numbers only; `side` is `axis.xaxis` or `axis.yaxis`."""
    from matplotlib.ticker import MaxNLocator

    side.set_major_locator(MaxNLocator(integer=True))
