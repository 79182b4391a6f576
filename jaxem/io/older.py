"""Files of earlier versions: their fields under the names of this version."""

import math
from collections.abc import Mapping
from typing import Any

from jaxem.results.information_criteria import Criteria
from jaxem.results.sweep import Row, Sweep


def renewed(cls: type, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a value as this version would write them.

    `Criteria.icl` of earlier versions is `icl_entropy` today; a sweep judged by the one is judged
    by the other.
    """
    if cls is Criteria and "icl" in fields and "icl_entropy" not in fields:
        return {**fields, "icl": math.nan, "icl_entropy": fields["icl"]}
    if cls is Sweep and fields.get("criterion") == "icl" and _by_entropy(fields.get("rows")):
        return {**fields, "criterion": "icl_entropy"}
    return fields


def _by_entropy(rows: object) -> bool:
    """Whether these rows have ICL by entropy only."""
    rows = rows if isinstance(rows, tuple) else ()
    known = [row.criteria for row in rows if isinstance(row, Row)]
    known = [c for c in known if isinstance(c, Criteria)]
    return bool(known) and all(c.icl != c.icl and c.icl_entropy is not None for c in known)
