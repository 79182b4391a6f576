"""Runs scikit-learn's gallery examples on mixtures twice, once as they are and once with the import
of `GaussianMixture` alone changed to `jaxem.sklearn`, and saves the pictures side by side:

    python docs/gallery.py --out pictures [--source scikit-learn/examples]

The examples are scikit-learn's: they are taken from its repository at the tag of the version that
is installed, or without a network from the folder `--source`: that of this name in the source
archive of scikit-learn. One of them needs pandas and seaborn. Exit status 1 if pictures differ in
more than a hundredth of their pixels; the times that one prints in its titles are fewer.
"""

import argparse
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import sklearn

EXAMPLES = (
    "mixture/plot_gmm_covariances.py",
    "mixture/plot_gmm_init.py",
    "mixture/plot_gmm_pdf.py",
    "mixture/plot_gmm_selection.py",
    "cluster/plot_kmeans_assumptions.py",
)
#: The share of pixels that may differ: an example prints how long it took.
MOST = 0.01
WEB = "https://raw.githubusercontent.com/scikit-learn/scikit-learn/{version}/examples/{name}"
IMPORTS = (
    (
        r"^from sklearn\.mixture import GaussianMixture$",
        "from jaxem.sklearn import GaussianMixture",
    ),
    (r"^from sklearn import mixture$", "from jaxem import sklearn as mixture"),
)


def source_of(name: str, folder: Path | None) -> str:
    """The text of an example; SystemExit that says where else to look when it is not there."""
    if folder is not None:
        if not (folder / name).is_file():
            raise SystemExit(
                f"{folder / name} does not exist: --source is the folder `examples` of a source "
                f"archive or a checkout of scikit-learn {sklearn.__version__}."
            )
        return (folder / name).read_text()
    address = WEB.format(version=sklearn.__version__, name=name)
    try:
        with urllib.request.urlopen(address, timeout=60) as page:
            return page.read().decode()
    except urllib.error.URLError as error:
        raise SystemExit(
            f"{address} cannot be fetched ({error.reason}). Without a network, name the folder "
            "`examples` of scikit-learn's source archive: --source FOLDER."
        ) from error


def changed(source: str) -> str:
    """The same example with one import changed; ValueError if it has none that we know."""
    for old, new in IMPORTS:
        text, count = re.subn(old, new, source, flags=re.MULTILINE)
        if count == 1:
            return text
    raise ValueError("this example does not import GaussianMixture in a way known here")


def pictures(source: str, name: str) -> tuple[list[np.ndarray], float]:
    """What the example draws, one image f[height, width, 4] for each figure, and its seconds."""
    plt.close("all")
    np.random.seed(0)
    begun = time.perf_counter()
    try:
        exec(compile(source, name, "exec"), {"__name__": "__main__"})
    except ModuleNotFoundError as error:
        raise SystemExit(f"{name} needs {error.name}: pip install {error.name}") from error
    seconds = time.perf_counter() - begun
    images = []
    for number in plt.get_fignums():
        canvas = plt.figure(number).canvas
        canvas.draw()
        images.append(np.asarray(canvas.buffer_rgba()).copy())
    plt.close("all")
    return images, seconds


def side_by_side(pairs: list[tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """One row for each figure: scikit-learn's on the left, ours on the right."""
    heights = [7 * pair[0].shape[0] / pair[0].shape[1] + 0.4 for pair in pairs]
    figure, axes = plt.subplots(
        len(pairs), 2, figsize=(14, sum(heights)), squeeze=False, height_ratios=heights
    )
    for row, pair in zip(axes, pairs, strict=True):
        for ax, image, title in zip(row, pair, ("sklearn.mixture", "jaxem.sklearn"), strict=True):
            ax.imshow(image)
            ax.set_title(title)
            ax.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> int:
    """Run all examples; 1 if the two runs of one draw different pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--source", type=Path, help="scikit-learn's folder of examples")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    failed, lines = False, []
    sources = {name: source_of(name, options.source) for name in EXAMPLES}
    for name, source in sources.items():
        (theirs, slow), (ours, fast) = pictures(source, name), pictures(changed(source), name)
        if [image.shape for image in theirs] != [image.shape for image in ours]:
            lines.append(f"{name}: {len(theirs)} figures against {len(ours)}, of other sizes")
            failed = True
            continue
        pairs = list(zip(theirs, ours, strict=True))
        side_by_side(pairs, options.out / f"{Path(name).stem}.png")
        shares = [float(np.mean(np.any(a != b, axis=-1))) for a, b in pairs]
        failed = failed or max(shares, default=0) > MOST
        apart = [f"{share:.2%}" for share in shares]
        lines.append(
            f"{name}: {len(pairs)} figures, pixels that differ {', '.join(apart)}; "
            f"{slow:.1f} s against {fast:.1f} s"
        )
    print("\n".join(lines))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
