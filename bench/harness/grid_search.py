"""The estimator in a loop: `GridSearchCV`, K = 1 to 6, four covariance types, five folds, n = 300,
d = 3, one start each, in a new process.

The first search with nothing cached, or with the programs of an earlier process on disk; later ones
by turns with scikit-learn's; predictions of one row. Seconds of the clock, and of the processor,
which busy neighbours change less.
"""

import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.harness import peers
from bench.harness.rows import Verdict, row
from bench.harness.timing import Timing, paired_ratio
from jaxem.core.compilation import compilations

GRID = dict(n_components=range(1, 7), covariance_type=["full", "tied", "diag", "spherical"])
FOLDS, N, D = 5, 300, 3
METHODS = "predict", "predict_proba", "score_samples", "score"


def run(printed: Callable[[str], str], quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of searches and of predictions, of three processes of each kind; none without
    scikit-learn. `printed` runs a program in a process of its own."""
    if not peers.installed("sklearn"):
        return

    def told(folder: str | None, rounds: int) -> dict[str, Any]:
        program = f"from bench.harness.grid_search import tell; tell({folder!r}, {rounds})"
        return json.loads(printed(program))

    processes, rounds = (1, 1) if quick else (3, 5)
    with tempfile.TemporaryDirectory() as folder:
        told(folder, 0)  # fills it
        pairs = [(told(None, rounds), told(folder, rounds)) for _ in range(processes)]
    cold, disk = zip(*pairs, strict=True)
    every = [*cold, *disk]
    yield _of_searches("jaxem, first search, nothing cached", [one["first"] for one in cold])
    yield _of_searches("jaxem, first search, programs on disk", [one["first"] for one in disk])
    yield _of_searches("jaxem, later search", [s for one in every for s in one["again"]])
    yield _of_searches("scikit-learn, search", [s for one in every for s in one["peer"]])
    for name, methods in every[0]["one row"].items():
        for method in methods:
            timing = Timing(tuple(one["one row"][name][method] for one in every))
            yield row(f"{name}, {method}, one row", (1, D, 3, 1), timing, dtype="float64")


def _of_searches(what: str, searches: list[dict[str, Any]]) -> dict[str, Any]:
    known = dict(
        programs=max(one["programs"] for one in searches),
        cpu_seconds=statistics.median(one["cpu"] for one in searches),
        difference=max(one["difference"] for one in searches),
    )
    timing = Timing(tuple(one["seconds"] for one in searches))
    return row(what, (N, D, max(GRID["n_components"]), 1), timing, dtype="float64", **known)


def verdicts(rows: list[dict[str, Any]]) -> list[Verdict]:
    """First searches against 6 and 2.5 seconds, later ones against scikit-learn's, predictions
    against a millisecond; and the largest difference of a mean test score from scikit-learn's."""
    cold, disk, again, peer, *calls = rows
    ratio = paired_ratio(Timing(tuple(again["samples"])), Timing(tuple(peer["samples"])))
    out = []
    for one, goal in ((cold, 6.0), (disk, 2.5)):
        out.append(Verdict(f"{one['what']}: seconds", one["seconds"], "<=", goal))
        out.append(Verdict(f"{one['what']}: seconds of the processor", one["cpu_seconds"]))
    return [
        *out,
        Verdict(f"{cold['what']}: programs", cold["programs"], "<=", 4.0),
        Verdict(f"{again['what']}: seconds", again["seconds"]),
        Verdict(f"{again['what']}: seconds over scikit-learn's", ratio, "<=", 1.0),
        Verdict(f"{again['what']}: programs", again["programs"], "<=", 0.0),
        Verdict("jaxem: difference of a score", again["difference"], "<=", 1e-9),
        *(
            Verdict(f"{one['what']}: ms", 1e3 * one["seconds"], "<=", 1.0)
            for one in calls
            if one["what"].startswith("jaxem")
        ),
    ]


def tell(folder: str | None, rounds: int) -> None:
    """Print, as JSON, what a new process measures, with the programs that are kept in `folder`.
    One thread of BLAS: for matrices as small as these, more take longer, here and there."""
    import sklearn.mixture
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    import jaxem.sklearn

    warnings.simplefilter("ignore", ConvergenceWarning)
    if folder is not None:
        jaxem.enable_compilation_cache(folder)
    ours, peer, x = jaxem.sklearn.GaussianMixture, sklearn.mixture.GaussianMixture, _rows()
    with threadpool_limits(1):
        first, again, theirs = _search(ours, x), [], []
        for _ in range(rounds):
            again.append(_search(ours, x))
            theirs.append(_search(peer, x))
        one_row = {
            name: {method: _prediction(kind, x, method) for method in METHODS}
            for name, kind in (("jaxem", ours), ("scikit-learn", peer))
            if rounds
        }
    for one in (first, *again, *theirs):
        reference = theirs[0]["scores"] if theirs else first["scores"]
        one["difference"] = float(np.max(np.abs(one["scores"] - reference)))
    for one in (first, *again, *theirs):
        del one["scores"]
    print(json.dumps({"first": first, "again": again, "peer": theirs, "one row": one_row}))


def _rows() -> np.ndarray:
    """Three clouds in mixed order, f[n, d]."""
    rng = np.random.default_rng(0)
    centre, width = np.array([[0.0], [3], [6]]), np.array([[1.0], [0.5], [2]])
    label = rng.integers(3, size=N)
    return centre[label] + width[label] * rng.normal(size=(N, D))


def _search(kind: Callable, x: np.ndarray) -> dict[str, Any]:
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(kind(random_state=0), GRID, cv=FOLDS)
    begun, busy = time.perf_counter(), time.process_time()
    with compilations() as compiled:
        scores = search.fit(x).cv_results_["mean_test_score"]
    spent = dict(seconds=time.perf_counter() - begun, cpu=time.process_time() - busy)
    return dict(spent, programs=compiled.programs, scores=scores)


def _prediction(kind: Callable, x: np.ndarray, method: str, calls: int = 500) -> float:
    """Seconds of a call on one row, after the first."""
    call, row = getattr(kind(3, random_state=0).fit(x), method), x[:1]
    call(row)
    begun = time.perf_counter()
    for _ in range(calls):
        call(row)
    return (time.perf_counter() - begun) / calls
