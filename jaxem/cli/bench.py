"""`jaxem bench`: hands over to the benchmarks of a checkout."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jaxem
from jaxem.cli.outputs import print_json


def run_bench(arguments: list[str], out: Path | None, as_json: bool) -> int:
    """The exit status of `python -m bench ARGUMENTS` in the checkout that jaxem runs from;
    ValueError where jaxem runs from no checkout. `as_json` prints the answers as one document, and
    all other output on stderr."""
    root = Path(jaxem.__file__).parents[1]
    if not (root / "bench" / "__main__.py").is_file():
        raise ValueError(
            f"the benchmarks are not part of the installed package ({root}); get the source, "
            "install it with pip install -e '.[bench]', and run this, or python -m bench, there."
        )
    command = [sys.executable, "-m", "bench", *arguments]
    # The benchmarks run in the checkout; a relative folder is relative to the user's.
    where = [] if out is None else ["--out", str(out.absolute())]
    if not as_json:
        return subprocess.run([*command, *where], cwd=root).returncode
    if "--list" in arguments:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        print_json(dict(line.split(None, 1) for line in done.stdout.splitlines()))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        kept = root / "bench" / "results" if "--last" in arguments else Path(folder)
        answers = kept if out is None else out
        done = subprocess.run([*command, "--out", str(answers.absolute())], cwd=root, stdout=2)
        asked = {name.partition(".")[0] for name in arguments if not name.startswith("-")}
        paths = [path for path in answers.glob("*.json") if not asked or path.stem in asked]
        found = {path.stem: json.loads(path.read_text()) for path in paths}
    print_json(found)
    return done.returncode
