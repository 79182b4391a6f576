"""`jaxem demo`: list the textbook examples, or tell some and save their pictures."""

from pathlib import Path

import numpy as np

from jaxem.cli.outputs import check_folder, has_matplotlib
from jaxem.demo import EXAMPLES
from jaxem.fit import precision_of


def list_examples() -> None:
    """Print one line for each example."""
    print("Textbook examples of EM; run one with `jaxem demo NAME`, every one with `all`:\n")
    width = max(map(len, EXAMPLES))
    for name, example in EXAMPLES.items():
        print(f"  {name:{width}}  {example.title}")


def run_examples(names: list[str], folder: Path) -> None:
    """Tell each example iteration by iteration and save its pictures in `folder`."""
    wanted = list(EXAMPLES) if "all" in names else names
    for name in wanted:
        if name not in EXAMPLES:
            raise ValueError(f"no example {name!r}; choose from {', '.join(EXAMPLES)} or all.")
    drawing = has_matplotlib()
    if drawing:
        check_folder(folder, "--out")
    with precision_of(np.dtype(np.float64)):
        for name in wanted:
            example = EXAMPLES[name]
            print(f"== {name}: {example.title} ==\n")
            result = example.run(print)
            if drawing:
                _save(example.draw(result), folder)
            print()
    if not drawing:
        print("Pictures need matplotlib: pip install 'jaxem[plot]'")


def _save(figures: dict, folder: Path) -> None:
    from jaxem.plot import save

    for file_name, figure in figures.items():
        save(figure, folder / file_name)
        print(f"picture: {folder / file_name}")
