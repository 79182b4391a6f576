"""Benchmarks: one file per question, which opens with the question and how it is answered.

`python -m bench` answers all of them, `python -m bench step waste` some, `step.growth` a part of
one, `--quick` at small sizes; `--last` prints the last answers instead. Rows go to
`bench/results/QUESTION.json`, figures beside them.
"""

#: In the order in which they are asked.
QUESTIONS = (
    "step",
    "restarts",
    "many",
    "search",
    "waste",
    "accelerators",
    "accuracy",
    "overhead",
    "rows",
    "devices",
)
