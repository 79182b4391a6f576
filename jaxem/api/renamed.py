"""Old names of arguments, which go on working until the next release."""

import warnings


def renamed(split_merge: int, generations: int | None) -> int:
    """The value of `split_merge`; where the old name `generations` is given, its value, with a
    FutureWarning."""
    if generations is None:
        return split_merge
    warnings.warn(
        "generations= is now split_merge=, and the old name will go with the next release.",
        FutureWarning,
        stacklevel=3,
    )
    return generations
