"""`python -m bench [QUESTION ...] [--quick] [--out DIR] [--trace DIR]`."""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

from bench import QUESTIONS
from bench.harness.device_tasks import TRACE
from bench.harness.runner import answer

RESULTS = Path(__file__).parent / "results"

#: A question that takes longer than this is stuck.
LIMIT = 900.0


def main(arguments: list[str] | None = None) -> int:
    """Answer the questions asked; the exit status counts those that failed."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name in QUESTIONS:
            print(f"{name:<14}{_question(name)}")
        return 0
    out = options.out or (RESULTS / "quick" if options.quick else RESULTS)
    if options.trace:
        os.environ[TRACE] = str(options.trace.resolve())
    names = options.questions or list(QUESTIONS)
    if len(names) == 1:
        answer(names[0], options.quick, out, not options.no_figures)
        return 0
    return sum(_alone(name, options, out) for name in names)


def _alone(name: str, options: argparse.Namespace, out: Path) -> int:
    """One question in a process of its own, so that none warms or fills another's memory."""
    command = [sys.executable, "-m", "bench", name, "--out", str(out)]
    command += ["--quick"] if options.quick else []
    command += ["--no-figures"] if options.no_figures else []
    try:
        return int(subprocess.run(command, timeout=LIMIT).returncode != 0)
    except subprocess.TimeoutExpired:
        print(f"{name}: no answer within {LIMIT:.0f} s", file=sys.stderr)
        return 1


def _question(name: str) -> str:
    text = importlib.import_module(f"bench.{name}").__doc__ or ""
    return text.partition("\n")[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "questions",
        nargs="*",
        type=_known,
        metavar="QUESTION",
        help=f"any of {', '.join(QUESTIONS)}; all without",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: a smoke run")
    parser.add_argument("--out", type=Path, help="folder for JSON and figures")
    parser.add_argument("--no-figures", action="store_true", help="JSON only")
    parser.add_argument("--trace", type=Path, help="folder for profiles (question devices)")
    parser.add_argument("--list", action="store_true", help="the questions")
    return parser


def _known(name: str) -> str:
    if name not in QUESTIONS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(QUESTIONS)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
