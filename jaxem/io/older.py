"""Files of earlier versions: their fields under the names of this version."""

import math
from collections.abc import Mapping

from jaxem.core.settings import Deprecated
from jaxem.families.gaussian import Diagonal, Full, GaussianFamily, Known, Spherical, Tied
from jaxem.io.classes import build
from jaxem.models import Mixture
from jaxem.results.information_criteria import Criteria
from jaxem.results.sweep import Row, Sweep

#: What were classes of their own before Gaussians were one family.
FORMER = {
    "FullGaussian": Full,
    "TiedGaussian": Tied,
    "DiagGaussian": Diagonal,
    "SphericalGaussian": Spherical,
    "KnownGaussian": Known,
}


def former(name: str, fields: Mapping[str, object]) -> object:
    """The value of one of the classes `FORMER`; ValueError for fields that it did not have."""
    if name == "KnownGaussian":
        held = {"matrix" if key == "covariance" else key: value for key, value in fields.items()}
        return build(GaussianFamily, {"covariance": build(Known, held)})
    if "covariance" in fields:
        raise ValueError(f"{name} has no field 'covariance'")
    return build(GaussianFamily, {"covariance": FORMER[name](), **fields})


def renewed(cls: type, fields: Mapping[str, object]) -> Mapping[str, object]:
    """The fields of a value as this version would write them.

    `Criteria.icl` of earlier versions is `icl_entropy` today; a sweep judged by the one is judged
    by the other. Settings that a mixture had before they were arguments of `fit` stay with it
    where they are no defaults, as `Deprecated`.
    """
    if cls is Mixture:
        return _without_settings(fields)
    if cls is Criteria and "icl" in fields and "icl_entropy" not in fields:
        return {**fields, "icl": math.nan, "icl_entropy": fields["icl"]}
    if cls is Sweep and fields.get("criterion") == "icl" and _by_entropy(fields.get("rows")):
        return {**fields, "criterion": "icl_entropy"}
    return fields


#: Settings that a mixture had, and their defaults.
_SETTINGS = dict(assignment="soft", exponent=None, kernel="blocked", precision="float32", mesh=None)


def _without_settings(fields: Mapping[str, object]) -> Mapping[str, object]:
    """The fields of a mixture, its old settings judged and put into one field."""
    given = {name: fields[name] for name in _SETTINGS if name in fields}
    fields = {name: value for name, value in fields.items() if name not in given}
    chosen = {name: value for name, value in given.items() if value != _SETTINGS[name]}
    return {**fields, "deprecated": build(Deprecated, chosen)} if chosen else fields


def _by_entropy(rows: object) -> bool:
    """Whether these rows have ICL by entropy only."""
    rows = rows if isinstance(rows, tuple) else ()
    known = [row.criteria for row in rows if isinstance(row, Row)]
    known = [c for c in known if isinstance(c, Criteria)]
    return bool(known) and all(c.icl != c.icl and c.icl_entropy is not None for c in known)
