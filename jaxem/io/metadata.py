"""The metadata of a file, "facts" in its header. No key is needed to rebuild the value.

columns    names of the d columns of the data
source     name of the data
n_rows     number of rows
table      one object for each number of components: n_components and the criteria
"""

from collections.abc import Mapping


def check_metadata(metadata: object, d: int | None) -> None:
    """ValueError for metadata of other types, or where there are not d names of columns."""
    if not isinstance(metadata, Mapping):
        raise ValueError("its facts are not an object")
    columns, table = metadata.get("columns", []), metadata.get("table", [])
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise ValueError("columns must be a list of names")
    if d is not None and "columns" in metadata and len(columns) != d:
        raise ValueError(f"{len(columns)} names of columns for {d} columns")
    if len(set(columns)) < len(columns):
        raise ValueError("two columns have the same name")
    source, n_rows = metadata.get("source", ""), metadata.get("n_rows", 0)
    if not isinstance(source, str) or type(n_rows) is not int:
        raise ValueError("its facts are not those that jaxem.save writes")
    plain = (str, int, float, type(None))
    if not isinstance(table, list) or not all(
        isinstance(row, dict) and all(isinstance(value, plain) for value in row.values())
        for row in table
    ):
        raise ValueError("its table is not one that jaxem.save writes")
