"""What a file says about its thing, none of which is needed to rebuild it.

columns    names of the d columns of the data
source     what the data were called
n_rows     how many rows there were
table      one object for each number of components: its name, criteria and so on
"""

from collections.abc import Mapping
from typing import Any


def check_facts(facts: Any, d: int | None) -> None:
    """ValueError for facts of another kind, or names that are not d."""
    if not isinstance(facts, Mapping):
        raise ValueError("its facts are not an object")
    columns, table = facts.get("columns", []), facts.get("table", [])
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise ValueError("columns must be a list of names")
    if d is not None and "columns" in facts and len(columns) != d:
        raise ValueError(f"{len(columns)} names of columns for {d} columns")
    if len(set(columns)) < len(columns):
        raise ValueError("two columns have the same name")
    if not isinstance(facts.get("source", ""), str) or type(facts.get("n_rows", 0)) is not int:
        raise ValueError("its facts are not those that jaxem.save writes")
    plain = (str, int, float, type(None))
    if not isinstance(table, list) or not all(
        isinstance(row, dict) and all(isinstance(value, plain) for value in row.values())
        for row in table
    ):
        raise ValueError("its table is not one that jaxem.save writes")
