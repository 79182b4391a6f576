"""Options of the search, and of the checkpoint and progress line that follow it."""

from dataclasses import dataclass, replace
from os import PathLike

from jaxem.core.types import Init
from jaxem.core.validation import integer

#: Starts from which the default is a race.
RACE_FROM = 64


@dataclass(frozen=True)
class Search:
    """Number and kind of the starts, and the strategies that choose among them."""

    n_starts: int
    init: Init
    race: bool
    split_merge: int = 0  # generations of split-and-merge proposals after the race
    race_on: str = "auto"  # "rows": begin on subsets of the rows; "all"; "auto": where it pays

    @property
    def winners(self) -> bool:
        """Whether there are several starts, the best of which run on past `tol`."""
        return self.n_starts > 1

    @property
    def given(self) -> bool:
        """Whether `init` is a start itself, not a rule that draws starts."""
        return not (isinstance(self.init, str) or callable(self.init))


@dataclass(frozen=True)
class Watch:
    """A checkpoint (path and fingerprint of the problem) and a progress line."""

    path: str | PathLike[str] | None = None
    fingerprint: str | None = None
    progress: bool | None = None


def search_of(
    n_starts: int, init: Init, race: bool | str | None, split_merge: int, can_propose: bool
) -> Search:
    """The options of a call, checked. ValueError for counts that are no whole numbers in range, for
    a race of another name, and for split and merge where proposals are impossible."""
    integer("n_starts", n_starts, 1)
    integer("split_merge", split_merge, 0)
    if isinstance(race, str) and race != "rows":
        raise ValueError(f"race must be None, True, False or 'rows'; got {race!r}.")
    race_on = "rows" if race == "rows" else "auto" if race is None else "all"
    search = Search(int(n_starts), init, bool(race), int(split_merge), race_on)
    if split_merge and race is not None and not race:
        raise ValueError(
            "split_merge needs the race, since proposals take the slots of starts that left it: "
            "leave race out, or give race=True."
        )
    if split_merge and (search.given or not can_propose):
        raise ValueError(
            "split_merge > 0 splits and merges components, which is impossible with frozen "
            "parameters, labels or a given start: use random starts and none of these, or "
            "split_merge=0."
        )
    if race is None:
        race = n_starts >= RACE_FROM or split_merge > 0
    return replace(search, race=bool(race))
