"""Options of the search, and of the checkpoint and progress line that follow it."""

from dataclasses import dataclass, replace
from os import PathLike

from jaxem.core.types import Init
from jaxem.core.validation import integer

#: Starts from which the default is a race.
RACE_FROM = 64

#: Responsibilities of one iteration of all starts from which the default is a race. Fewer run to
#: their ends in about two seconds, and a race could only lose.
RACE_WORTH = 1 << 23

#: Generations of split and merge after the race that is the default.
GENERATIONS = 5


@dataclass(frozen=True)
class Search:
    """Number and kind of the starts, and the strategies that choose among them."""

    n_starts: int
    init: Init
    race: bool
    split_merge: int = 0  # generations of split-and-merge proposals after the race
    race_on: str = "auto"  # "rows": begin on subsets of the rows; "all"; "auto": where it pays
    default: bool = False  # whether the caller asked neither for a race nor for split and merge

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
    if race is not None or split_merge:
        return replace(search, race=race is None or bool(race))
    raced = n_starts >= RACE_FROM
    proposes = raced and can_propose and not search.given
    return replace(search, race=raced, split_merge=GENERATIONS * proposes, default=True)


def for_size(search: Search, size: int, of_many: bool) -> Search:
    """The search of data sets of which an iteration of all starts takes `size` responsibilities.
    By default few run to their ends, and of several data sets (`of_many`) starts only race."""
    if not search.default:
        return search
    if of_many:
        return replace(search, split_merge=0)
    return search if size >= RACE_WORTH else replace(search, race=False, split_merge=0)
