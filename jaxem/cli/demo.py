"""`jaxem demo`: list the textbook examples, or tell some and save their pictures."""

from pathlib import Path

import numpy as np

from jaxem.cli.outputs import check_file, check_folder, has_matplotlib, print_json
from jaxem.core.precision import precision_of
from jaxem.demo import EXAMPLES


def list_examples(as_json: bool = False) -> None:
    """Print one line for each example."""
    if as_json:
        print_json({name: example.title for name, example in EXAMPLES.items()})
        return
    print("Textbook examples of EM; run one with `jaxem demo NAME`, every one with `all`:\n")
    width = max(map(len, EXAMPLES))
    for name, example in EXAMPLES.items():
        print(f"  {name:{width}}  {example.title}")


def run_examples(names: list[str], folder: Path, force: bool, as_json: bool = False) -> None:
    """Tell each example iteration by iteration and save its pictures in `folder`."""
    wanted = list(EXAMPLES) if "all" in names else names
    for name in wanted:
        if name not in EXAMPLES:
            raise ValueError(f"no example {name!r}; choose from {', '.join(EXAMPLES)} or all.")
    drawing = has_matplotlib()
    if drawing:
        check_folder(folder, "--out")
        for name in wanted:  # before the work; `_save` checks all files
            check_file(folder / f"{name.replace('-', '_')}.png", "--out", force)
    told = []
    with precision_of(np.dtype(np.float64)):
        for name in wanted:
            lines: list[str] = []
            say = lines.append if as_json else print
            say(f"== {name}: {EXAMPLES[name].title} ==\n")
            result = EXAMPLES[name].run(say)
            pictures = _save(EXAMPLES[name].draw(result), folder, force) if drawing else []
            told.append({"name": name, "title": EXAMPLES[name].title, "text": lines[1:],
                         "pictures": pictures})  # fmt: skip
            for picture in pictures:
                say(f"picture: {picture}")
            say("")
    if as_json:
        print_json({"examples": told})
    elif not drawing:
        print("Pictures need matplotlib: pip install 'jaxem[plot]'")


def _save(figures: dict, folder: Path, force: bool) -> list[str]:
    from jaxem.plot import save

    for file_name in figures:
        check_file(folder / file_name, "--out", force)
    for file_name, figure in figures.items():
        save(figure, folder / file_name)
    return [str(folder / file_name) for file_name in figures]
