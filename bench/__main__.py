"""`python -m bench [QUESTION ...] [--quick | --last | --redraw] [--out DIR]`."""

import argparse
import subprocess
import sys
from pathlib import Path

from bench import QUESTIONS
from bench.harness.runner import answer, parts_of, redraw, show_last, title_of

RESULTS = Path(__file__).parent / "results"

#: A question that takes longer than so many seconds is stuck.
LIMIT = 1800.0


def main(arguments: list[str] | None = None) -> int:
    """Answer the questions asked; the exit status counts those that failed."""
    options = _parser().parse_args(arguments)
    out = options.out or (RESULTS / "quick" if options.quick else RESULTS)
    names = options.questions or list(QUESTIONS)
    if options.list:
        for name in QUESTIONS:
            print(f"{name:<14}{title_of(name)}")
    elif options.last or options.redraw:
        for name in dict.fromkeys(name.partition(".")[0] for name in names):
            (show_last if options.last else redraw)(name, out)
    elif len(names) == 1:
        answer(names[0], options.quick, out, not options.no_figures)
    else:
        return sum(_alone(name, options, out) for name in names)
    return 0


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "questions",
        nargs="*",
        type=_known,
        metavar="QUESTION",
        help=f"any of {', '.join(QUESTIONS)}, or QUESTION.PART; all without",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: a smoke run")
    parser.add_argument("--last", action="store_true", help="print the last answers, run nothing")
    parser.add_argument("--redraw", action="store_true", help="figures of the last answers")
    parser.add_argument("--out", type=Path, help="folder of JSON and figures")
    parser.add_argument("--no-figures", action="store_true", help="JSON only")
    parser.add_argument("--list", action="store_true", help="the questions")
    return parser


def _known(name: str) -> str:
    question, _, part = name.partition(".")
    if question not in QUESTIONS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(QUESTIONS)}")
    if part and part not in parts_of(question):
        known = ", ".join(parts_of(question))
        raise argparse.ArgumentTypeError(f"{part!r} is no part of {question}: {known}")
    return name


if __name__ == "__main__":
    sys.exit(main())
