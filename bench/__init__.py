"""Benchmarks: one file per question, each opening with its question and its last answer.

`python -m bench` answers all of them, `python -m bench step race` some, `--quick` at small sizes.
Rows go to `bench/results/QUESTION.json`, figures beside them.
"""

#: In the order in which they are asked.
QUESTIONS = (
    "step",
    "restarts",
    "single",
    "many",
    "waste",
    "accelerators",
    "race",
    "children",
    "growth",
    "compilation",
    "memory",
    "precision",
    "resolution",
    "trap",
    "generators",
    "devices",
    "fused",
    "kernel",
)
