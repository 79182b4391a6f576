"""What tab completion offers of the package: the public names, not the modules behind them."""

import sys
from types import ModuleType

#: Modules that are public names themselves.
MODULES = ("convert", "datasets", "distributed", "families", "plot", "sklearn", "tools")


def __dir__() -> list[str]:
    """The names that `dir(jaxem)` tells; all others import as ever."""
    return sorted(
        name
        for name, value in vars(sys.modules["jaxem"]).items()
        if name in MODULES
        or name.startswith("__")
        or not (name.startswith("_") or isinstance(value, ModuleType))
    )
