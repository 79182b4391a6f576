"""What files from before said otherwise, in the words of today."""

import math
from collections.abc import Mapping
from typing import Any

from jaxem.families.gaussian import (
    Diagonal,
    Full,
    GaussianFamily,
    Known,
    Spherical,
    Tied,
)
from jaxem.io.classes import build
from jaxem.results.information_criteria import Criteria
from jaxem.results.sweep import Row, Sweep

#: What were classes of their own before Gaussians were one family.
_STRUCTURES = {
    "FullGaussian": Full,
    "TiedGaussian": Tied,
    "DiagGaussian": Diagonal,
    "SphericalGaussian": Spherical,
    "KnownGaussian": Known,
}


def former(name: str, fields: Mapping[str, Any]) -> Any:
    """The value of a class that is no more, None for a name that never was one; ValueError for
    fields that it did not have."""
    if name not in _STRUCTURES:
        return None
    if name == "KnownGaussian":
        held = {"matrix" if key == "covariance" else key: value for key, value in fields.items()}
        return GaussianFamily(build(Known, held))
    if "covariance" in fields:
        raise ValueError(f"{name} has no field 'covariance'")
    return build(GaussianFamily, {"covariance": _STRUCTURES[name](), **fields})


def renewed(cls: type, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a value as they would be written now.

    `Criteria.icl` used to be what is `icl_entropy` now; sweeps judged by it still are.
    """
    if cls is Criteria and "icl" in fields and "icl_entropy" not in fields:
        return {**fields, "icl": math.nan, "icl_entropy": fields["icl"]}
    if cls is Sweep and fields.get("criterion") == "icl" and _by_entropy(fields.get("rows")):
        return {**fields, "criterion": "icl_entropy"}
    return fields


def _by_entropy(rows: Any) -> bool:
    """Whether these rows know ICL in its form by entropy alone."""
    rows = rows if isinstance(rows, tuple) else ()
    known = [row.criteria for row in rows if isinstance(row, Row)]
    known = [c for c in known if isinstance(c, Criteria)]
    return bool(known) and all(c.icl != c.icl and c.icl_entropy is not None for c in known)
