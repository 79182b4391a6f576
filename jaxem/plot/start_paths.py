"""The starts of one data set: a histogram of the objectives they reached, and their paths."""

from typing import TYPE_CHECKING

import numpy as np

from jaxem.core.status import Status
from jaxem.plot.style import COLOURS, GREY, label, whole_ticks
from jaxem.results.fit import Fit
from jaxem.results.optima import last_leaders

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Most bars that are labelled with their counts.
LABELLED = 15

#: Smallest distance to the limit of a path, in nats, that is drawn.
FLOOR = 1e-9


def starts(axis: "Axes", fits: Fit, bins: int = 30) -> None:
    """Histogram of the objectives that the starts of one data set reached.

    A start that the race stopped because it had joined the path of another is drawn at the end of
    that path. Of proposals by split and merge (see `Fit.parent`)
    only sound ones are drawn. Failed starts are counted
    in the legend. ValueError unless there is one axis of starts with a sound one.

    >>> x = datasets.load("old_faithful")
    >>> model = jaxem.Mixture(jaxem.Gaussian("full"), n_components=2)
    >>> fits = jaxem.fit(model, x, key=jax.random.key(0), n_starts=8)
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.starts(axis, fits)
    >>> axis.get_title()
    'best -1130.26, reached by 8 of 8 starts'
    """
    if np.ndim(fits.status) != 1:
        raise ValueError(
            f"starts() draws the starts of one data set; these fits have shape "
            f"{np.shape(fits.status)}: choose one, fits[i].plot.starts()."
        )
    best, optima = float(fits.best().objective), fits.optima()
    values, kinds, failed = _ends(fits)
    edges = _edges(values, best, bins)
    ends = {name: values[kinds == name] for name in KINDS if (kinds == name).any()}
    axis.hist(
        list(ends.values()),
        edges.tolist(),
        stacked=True,
        color=[KINDS[name] for name in ends],
        label=[f"{part.size} {name}" for name, part in ends.items()],
    )
    _count_bars(axis, np.histogram(values, edges)[0], edges)
    if failed:
        axis.plot([], [], " ", label=f"{failed} failed, not drawn")
    if failed or len(ends) > 1:
        axis.legend(frameon=False, fontsize="small", loc="upper left")
    axis.ticklabel_format(axis="x", useOffset=False)
    whole_ticks(axis.yaxis)
    title = f"best {best:.2f}, reached by {optima.best_count} of {optima.starts} starts"
    label(axis, objective_name(fits), "starts", title)


#: Kinds of starts in a histogram, and their colours.
KINDS = {
    "ended there": COLOURS[0],
    "joined one that did": COLOURS[5],
    "left the race before": COLOURS[4],
    "made by a split and a merge": COLOURS[2],
}


def _ends(fits: Fit) -> tuple[np.ndarray, np.ndarray, int]:
    """Objective and kind of each start that is drawn, and the number of failed starts."""
    status, ends = np.asarray(fits.status), np.asarray(fits.objective, float)
    kinds = np.full(status.shape, "", dtype=object)
    kinds[fits.sound] = "ended there"
    kinds[status == Status.PRUNED] = "left the race before"
    if fits.follows is not None:
        joined = (status == Status.PRUNED) & (np.asarray(fits.follows) >= 0)
        last = last_leaders(np.asarray(fits.follows))
        joined &= fits.sound[last]
        ends = np.where(joined, ends[last], ends)
        kinds[joined] = "joined one that did"
    parent = np.full(status.shape, -1) if fits.parent is None else np.asarray(fits.parent)
    kinds[(parent >= 0) & fits.sound] = "made by a split and a merge"
    counted = (parent < 0) | fits.sound
    drawn = (kinds != "") & np.isfinite(ends) & counted
    return ends[drawn], kinds[drawn], int(np.sum(~drawn & counted))


def _edges(values: np.ndarray, best: float, bins: int) -> np.ndarray:
    """Edges of equal bins over all values, the best objective in the middle of a bin. All bins
    together span at least one nat, so that starts that differ by rounding share a bar."""
    width = max(np.ptp(np.r_[values, best]), 1.0) / bins
    below = np.ceil((best - values.min()) / width + 0.5)
    above = np.ceil((values.max() - best) / width + 0.5)
    return best + width * (np.arange(-below, above + 1) + 0.5)


def _count_bars(axis: "Axes", heights: np.ndarray, edges: np.ndarray) -> None:
    """The count above each bar, unless there are many bars."""
    filled = np.flatnonzero(heights)
    if len(filled) > LABELLED:
        return
    for i in filled:
        place = (edges[i] + edges[i + 1]) / 2, heights[i]
        text = axis.annotate(str(heights[i]), place, (0, 2), textcoords="offset points")
        text.set(ha="center", fontsize="small", color=GREY)
    axis.margins(y=0.1)


def objective_name(fits: Fit) -> str:
    """The name of the objective, which is the log-likelihood unless there is a prior."""
    same = np.allclose(fits.objective, fits.log_likelihood, rtol=1e-6, equal_nan=True)
    return "log-likelihood" if same else "objective (log-likelihood + log prior)"


def traces(axis: "Axes", fits: Fit) -> None:
    """How far below the best objective each run was after each iteration, on a logarithmic axis.

    The runs must have kept their traces: `jaxem.fit(..., trace=True)`, or `jaxem.em(..., trace=m)`.
    A straight line is linear convergence, a plateau slow progress; runs that level off end at other
    optima. ValueError without traces.

    >>> trace = np.array([[-30.0, -21.0, -20.0], [-40.0, -25.0, -22.0]])
    >>> status = np.array([jaxem.Status.CONVERGED] * 2)
    >>> fits = jaxem.Fit(None, trace[:, -1], trace[:, -1], status, np.array([2, 2]), trace)
    >>> axis = plot.new_figure(5, 4).add_subplot()
    >>> plot.traces(axis, fits)
    >>> axis.get_ylabel()
    'nats below the best'
    """
    if fits.trace is None:
        raise ValueError(
            "These fits kept no trace. jaxem.fit(..., trace=True) does, for every start, and "
            "jaxem.em(..., max_iter=200, trace=200) for one."
        )
    trace = np.asarray(fits.trace, float)
    trace = trace.reshape(-1, trace.shape[-1])
    if not np.isfinite(trace).any():
        raise ValueError("No trace holds a finite objective.")
    trace = trace[:, : 1 + int(np.flatnonzero(np.isfinite(trace).any(axis=0))[-1])]
    top = np.nanmax(np.where(np.isfinite(trace), trace, np.nan))
    sound = fits.sound.ravel()
    alpha = max(0.08, min(0.9, 8 / len(trace)))
    for ok, colour, dashes in ((True, COLOURS[0], "-"), (False, COLOURS[1], "--")):
        paths = trace[sound == ok]
        if len(paths):
            gaps = np.where(top - paths > FLOOR, top - paths, np.nan)
            axis.plot(
                np.arange(gaps.shape[1]), gaps.T, color=colour, ls=dashes, lw=1.2, alpha=alpha
            )
            name = f"{len(paths)} {'sound' if ok else 'not sound'}"
            axis.plot([], [], color=colour, ls=dashes, label=name)
    axis.set_yscale("log")
    whole_ticks(axis.xaxis)
    axis.legend(frameon=False, fontsize="small")
    label(axis, "iteration", "nats below the best", f"distance to the best, {top:.2f}")
