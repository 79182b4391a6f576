"""Figures drawn from the JSON of a question; colours of Okabe and Ito (2008), shapes differ too.

`python -m bench.figures` redraws all of them.
"""

import json
import sys
from pathlib import Path
from typing import Any

#: Colour and marker of a series; jaxem is always the first.
STYLES = (
    ("#0072B2", "o"),
    ("#E69F00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#D55E00", "v"),
    ("#56B4E9", "P"),
    ("#000000", "X"),
    ("#F0E442", "*"),
    ("#999999", "h"),
    ("#0072B2", "<"),
    ("#E69F00", ">"),
)


def draw(path: Path) -> Path | None:
    """The figure of a question's JSON, as PNG beside it; None where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    record = json.loads(path.read_text())
    rows = record["rows"]
    figure = Figure(figsize=(7.0, 4.2), dpi=130, layout="constrained")
    FIGURES[record["question"]](figure, rows)
    machine = rows[0]["hardware"]
    versions = rows[0]["versions"]
    note = f"{machine}; jaxem {versions['jaxem']}, jax {versions['jax']}; {record['date'][:10]}"
    note += " (small sizes: a smoke run)" if record["quick"] else ""
    figure.supxlabel(note, fontsize=7, color="0.35", x=0.99, ha="right")
    out = path.with_suffix(".png")
    figure.savefig(out)
    return out


def _lines(axes, rows, across: str, names: list[str]) -> None:
    """Nanoseconds per responsibility of each name over `across`, both logarithmic."""
    for name, (colour, marker) in zip(names, STYLES, strict=False):
        own = [r for r in rows if r["what"] == name and r["ns_per_responsibility"]]
        x = [r[across] for r in own]
        y = [r["ns_per_responsibility"] for r in own]
        axes.plot(x, y, color=colour, marker=marker, markersize=5, label=name)
    values = sorted({r[across] for r in rows})
    axes.set(xscale="log", yscale="log", ylabel="ns per responsibility")
    _plain_numbers(axes.yaxis)
    axes.set_xticks(values, [f"{v:g}" for v in values])
    axes.set_xticks([], minor=True)
    axes.grid(alpha=0.3)


def _dots(axes, rows: list[dict], value: str, label: str, names: list[str] | None = None) -> None:
    """One dot a row on a logarithmic axis, its value written beside it; jaxem's in its own colour
    and shape. A row without a value keeps its line."""
    names = names or [r["what"] for r in rows]
    for own, (colour, marker) in zip((True, False), STYLES, strict=False):
        for i, one in enumerate(rows):
            if own == ("jaxem" in one["what"]) and one[value]:
                axes.plot(one[value], i, marker, color=colour, markersize=7)
                axes.annotate(
                    f"{one[value]:.3g}",
                    (one[value], i),
                    (7, -3),
                    textcoords="offset points",
                    fontsize=8,
                )
    known = [one[value] for one in rows if one[value]]
    axes.set(xscale="log", xlabel=label, xlim=(min(known) / 1.5, max(known) * 3))
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    _plain_numbers(axes.xaxis)
    axes.grid(alpha=0.3)


def _plain_numbers(axis) -> None:
    """1, 2, 5, 10 rather than powers of ten; fewer where many decades are shown."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = sorted(axis.get_view_interval())
    subs = (1, 2, 5) if high / low < 200 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def step(figure: Any, rows: list[dict]) -> None:
    """Cost of an iteration over d."""
    axes = figure.subplots()
    names = [n for n in dict.fromkeys(r["what"] for r in rows) if n != "jaxem, beside peers"]
    _lines(axes, rows, "d", sorted(names, key=lambda name: name != "jaxem"))
    one = next(r for r in rows if r["what"] == "jaxem")
    axes.set_title(f"One EM iteration, n = {one['n']}, K = {one['k']}, {one['lanes']} restarts")
    axes.set_xlabel("d, features (full covariance)")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def restarts(figure: Any, rows: list[dict]) -> None:
    """Seconds until all restarts are done."""
    axes = figure.subplots()
    names = [f"{r['what']}\nbest {r['best_log_likelihood']:.2f}" for r in rows]
    figure.set_figheight(1.2 + 0.45 * len(rows))
    _dots(axes, rows, "seconds", "seconds (scikit-learn's: per start × starts)", names)
    one = rows[0]
    axes.set_title(f"{one['lanes']} restarts, n = {one['n']}, d = {one['d']}, K = {one['k']}")


def many(figure: Any, rows: list[dict]) -> None:
    """Fits per second on small data sets."""
    figure.set_figheight(2.4)
    axes = figure.subplots()
    _dots(axes, rows, "fits_per_second", "fits per second")
    one = rows[0]
    axes.set_title(f"{one['data_sets']} data sets, n = {one['n']}, d = {one['d']}, K = {one['k']}")


def waste(figure: Any, rows: list[dict]) -> None:
    """Executed over needed."""
    figure.set_figheight(3.0)
    axes = figure.subplots()
    values = [r["waste"] for r in rows]
    colours = [STYLES[0][0] if r["what"].startswith("packed") else STYLES[1][0] for r in rows]
    bars = axes.barh([r["what"] for r in rows], values, color=colours)
    axes.bar_label(bars, [f"{v:.2f}" for v in values], padding=3, fontsize=8)
    axes.axvline(1.3, color="0.3", linestyle=":")
    axes.invert_yaxis()
    axes.set(xlabel="executed / needed lane-iterations (dotted: the goal, 1.3)")
    axes.set_xlim(0, max(values) * 1.15)
    axes.set_title(f"{rows[0]['lanes']} starts: packing against lock step")


def accelerators(figure: Any, rows: list[dict]) -> None:
    """Median E-steps by problem, to each lane's own limit."""
    axes = figure.subplots()
    own = [r for r in rows if r["count"] == "limit"]
    problems = list(dict.fromkeys(r["problem"] for r in own))
    kinds = list(dict.fromkeys(r["accelerator"] for r in own))
    for i, (kind, (colour, marker)) in enumerate(zip(kinds, STYLES, strict=False)):
        mine = [r for r in own if r["accelerator"] == kind]
        y = [problems.index(r["problem"]) + (i - 1) * 0.15 for r in mine]
        x = [r["median_e_steps"] for r in mine]
        axes.plot(x, y, marker, color=colour, label=kind, markersize=7)
    axes.set_yticks(range(len(problems)), problems)
    axes.set(xscale="log", xlabel="median E-steps to 1e-6 per row of the start's own limit")
    _plain_numbers(axes.xaxis)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(f"Accelerators, {own[0]['lanes']} starts")


def race(figure: Any, rows: list[dict]) -> None:
    """Seconds with and without the race; what it lost is written beside."""
    axes = figure.subplots()
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    for label, place, (colour, marker) in zip(("race", "all to the end"), (0, 1), STYLES):  # noqa: B905
        seconds = [pair[place]["seconds"] for pair in pairs]
        axes.plot(seconds, range(len(pairs)), marker, color=colour, label=label, markersize=7)
    names = []
    for raced, full in pairs:
        lost = full["best_log_likelihood"] - raced["best_log_likelihood"]
        names.append(f"{raced['problem']}\nlost {max(lost, 0):.2g} nats")
    axes.set_yticks(range(len(pairs)), names, fontsize=8)
    axes.set(xscale="log", xlabel="seconds")
    _plain_numbers(axes.xaxis)
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title(f"The race between {rows[0]['lanes']} starts")


def growth(figure: Any, rows: list[dict]) -> None:
    """A panel by what is varied."""
    figure.set_size_inches(8.0, 6.0)
    kinds = list(dict.fromkeys(r["axis"] for r in rows))
    panels = figure.subplots(-(-len(kinds) // 2), 2, squeeze=False).flat
    for axes, kind in zip(panels, kinds, strict=False):
        own = [r | {"what": "jaxem"} for r in rows if r["axis"] == kind]
        _lines(axes, own, kind, ["jaxem"])
        axes.set_xlabel(kind if kind != "k" else "K")
    figure.suptitle("Cost of a responsibility, one size varied at a time")


def precision(figure: Any, rows: list[dict]) -> None:
    """Relative errors by problem."""
    axes = figure.subplots()
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    reported, reached = [], []
    for single, double in pairs:
        exact = single["exact_log_likelihood"]
        reported.append(abs(single["best_log_likelihood"] / exact - 1))
        reached.append(max((double["exact_log_likelihood"] - exact) / abs(exact), 0))
    series = (("reported likelihood", reported), ("winner below float64's", reached))
    for (label, values), (colour, marker) in zip(series, STYLES, strict=False):
        kept = [max(v, 1e-10) for v in values]
        axes.plot(kept, range(len(pairs)), marker, color=colour, label=label, markersize=7)
    axes.axvline(1e-6, color="0.3", linestyle=":")
    axes.set_yticks(range(len(pairs)), [single["problem"] for single, _ in pairs], fontsize=8)
    axes.set(xscale="log", xlabel="relative difference, 1e-10 and below at the edge (dotted: goal)")
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.set_title("float32 against float64")


def trap(figure: Any, rows: list[dict]) -> None:
    """Milliseconds of a batch of small inverses."""
    axes = figure.subplots()
    figure.set_figheight(3.6)
    kept = []
    for one in rows:
        gone = "" if one["seconds"] else " (never returned)"
        ms = 1e3 * one["seconds"] / one["iterations"] if one["seconds"] else None
        name = f"d={one['d']}: {one['what']}{gone}"
        mine = "jaxem " if one["what"].startswith("plain") else ""
        kept.append(one | {"ms": ms, "what": mine + name})
    names = [one["what"].removeprefix("jaxem ") for one in kept]
    _dots(axes, kept, "ms", f"ms for {rows[0]['lanes']} inverses", names)
    axes.set_title("Small inverses inside a compiled loop")


def devices(figure: Any, rows: list[dict]) -> None:
    """Rate of the step over d by device and kernel, and time of an iteration over n by device."""
    rate, few = figure.subplots(1, 2)
    steps = [r for r in rows if r["kind"] == "step"]
    _lines(rate, steps, "d", list(dict.fromkeys(r["what"] for r in steps)))
    rate.set(title="64 restarts, n = 50,000, K = 8", xlabel="d, features (full covariance)")
    short = [r for r in rows if r["kind"] == "few" and r["seconds"]]
    for platform, (colour, marker) in zip(_unique(short, "platform"), STYLES, strict=False):
        own = [r for r in short if r["platform"] == platform]
        times = [1e6 * r["seconds"] / r["iterations"] for r in own]
        few.plot([r["n"] for r in own], times, color=colour, marker=marker, label=platform)
    few.set(xscale="log", yscale="log", xlabel="n, rows", ylabel="µs per iteration")
    few.set_title("8 restarts, d = 4, K = 8")
    _plain_numbers(few.yaxis)
    sizes = sorted({r["n"] for r in short})
    few.set_xticks(sizes, [f"{n:,}" for n in sizes])
    few.set_xticks([], minor=True)
    for axes in (rate, few):
        axes.legend(fontsize=7)
        axes.grid(alpha=0.3)


def _unique(rows: list[dict], field: str) -> list[Any]:
    return list(dict.fromkeys(r[field] for r in rows))


FIGURES = {
    "step": step,
    "restarts": restarts,
    "many": many,
    "waste": waste,
    "accelerators": accelerators,
    "race": race,
    "growth": growth,
    "precision": precision,
    "trap": trap,
    "devices": devices,
}


def main() -> None:
    """Redraw the figures of the folder given, else of `bench/results`."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results"
    for path in sorted(folder.glob("*.json")):
        if path.stem in FIGURES:
            print(draw(path))


if __name__ == "__main__":
    main()
