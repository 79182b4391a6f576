"""From starts to a `Fit`: all lanes of a store run to their ends, watched."""

import warnings

import jax
import numpy as np

from jaxem.batch import scheduler
from jaxem.batch.checkpoint import load, own_path, settle, writer
from jaxem.batch.progress import clear, reporter
from jaxem.batch.state import Store
from jaxem.core.pytree import replace
from jaxem.core.status import Status
from jaxem.devices import distributed
from jaxem.results.fit import Fit
from jaxem.results.report import Report
from jaxem.search.race import run as race_lanes
from jaxem.search.split_merge import breed, judged
from jaxem.search.winners import settled


def raced(race: bool | None, n_starts: int, generations: int = 0) -> bool:
    """Whether starts are raced: as asked, else where there are many or the best have children."""
    return n_starts >= 64 or generations > 0 if race is None else race


def run(
    store: Store,
    max_iter: int,
    raced: bool,
    checkpoint: tuple,
    progress: bool | None,
    winners: bool = False,
) -> tuple[Fit, np.ndarray]:
    """All lanes to their ends, watched by a checkpoint (path, fingerprint) and a progress line, and
    (`winners`) those that may be the best of their data set further (see
    `jaxem.search.winners`); also the condition of each."""
    path, mark = checkpoint
    path = own_path(path, store.place)
    line = reporter(progress) if jax.process_index() == 0 or not store.place.several else None
    write = None if path is None else writer(path, mark)
    looks = [look for look in (write, line) if look]
    if path is not None:
        store.lines = 1  # a checkpoint knows of one bucket in flight
        load(path, store, mark)
        settle(store, mark)

    def on_look(store: Store) -> None:
        for look in looks:
            look(store)

    watch = on_look if looks else None
    done = None
    try:
        if store.contenders is None:
            race_lanes(store, max_iter, raced, watch)
            if raced:
                breed(store, max_iter, watch)
        done = _concluded(store)
        if winners:
            done = settled(store, *done, max_iter, on_look=watch)
    except KeyboardInterrupt:
        if store.place.several:
            raise  # the others wait for this process's lanes
        warnings.warn(
            "interrupted: fits that had not ended have status RUNNING, and best() leaves them out; "
            "with checkpoint= the same call would go on from here.",
            RuntimeWarning,
            stacklevel=3,
        )
    finally:
        clear(line)
    if write is not None:
        write(store, last=True)
    fits, condition = done or _concluded(store)
    return replace(fits, follows=_followers(store), report=_report(store)), condition


def _concluded(store: Store) -> tuple[Fit, np.ndarray]:
    """The `Fit` of every lane as it stands, and its condition."""
    fits, condition = scheduler.conclude(store)
    parent = store.parent
    if parent is None and store.generations:
        parent = np.full(len(store.groups), -1)
    return replace(fits, parent=parent, status=judged(store, fits.status)), condition


def _report(store: Store) -> Report:
    weight = float(np.max(store.grid.prepared.weight))
    return Report(
        executed=_executed(store),
        needed=store.spent + int(np.sum(store.runs.n_iter + 1)),
        kernel=store.grid.model.kernel,
        stopping_gain=float(store.control.tol) * weight,
    )


def _executed(store: Store) -> int:
    if not store.place.shared_out:
        return store.executed
    return int(distributed.total(np.array(store.executed)))


def _followers(store: Store) -> np.ndarray:
    """Whose path each pruned lane had joined; -1 for lanes that ended by themselves."""
    pruned = store.runs.status == Status.PRUNED
    follows = np.full(pruned.shape, -1) if store.follows is None else store.follows
    return np.where(pruned, follows, -1).astype(np.int32)
