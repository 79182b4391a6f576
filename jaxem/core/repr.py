"""How values show themselves: short texts for a prompt, tables for a notebook."""

import dataclasses
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import jax
import numpy as np

#: Arrays of more numbers than this are shown by dtype and shape.
FEW = 8

#: A quiet table on a white or dark page; notebooks bring their own fonts.
STYLE = "border-collapse:collapse;text-align:right;font-variant-numeric:tabular-nums"


def concrete(*values: Any) -> bool:
    """Whether all values are numbers at hand: no tracer, no shape without data, no array that is
    deleted or lies partly on other hosts."""
    return all(_at_hand(value) for value in values)


def _at_hand(value: Any) -> bool:
    if isinstance(value, jax.core.Tracer) or not hasattr(value, "__array__"):
        return isinstance(value, bool | int | float)
    if isinstance(value, jax.Array):
        here = value.is_fully_addressable and not value.is_deleted()
        return here and isinstance(value.dtype, np.dtype)  # a random key has another kind of dtype
    return True


def shape_text(value: Any) -> str:
    """dtype and shape, `float32[8, 2]`; also of tracers."""
    if not hasattr(value, "dtype"):
        return type(value).__name__
    return f"{value.dtype}{list(np.shape(value))}"


def short(value: Any) -> str:
    """A number or a small array with few digits, a larger one by dtype and shape, else the repr."""
    if not hasattr(value, "dtype"):
        return f"{value:.6g}" if isinstance(value, float) else repr(value)
    if not concrete(value) or np.size(value) > FEW or np.size(value) == 0:
        return shape_text(value)
    return _nested(np.asarray(value))


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        value = array.item()
        large = 1e3 <= abs(value) < 1e15 if array.dtype.kind == "f" else False
        text = f"{value:.2f}" if large else f"{value:.4g}"
        return text if array.dtype.kind == "f" else str(value)
    return "[" + ", ".join(_nested(one) for one in array) + "]"


def total(value: float) -> str:
    """A log-likelihood: six digits, and never fewer than hundredths."""
    return f"{value:.6g}" if abs(value) < 1e4 or abs(value) > 1e15 else f"{value:.2f}"


def constructor(
    value: Any, name: str | None = None, first: Sequence[str] = (), hidden: Sequence[str] = ()
) -> str:
    """A dataclass as the call that makes it: only what differs from the defaults, arrays short.
    `first` are arguments that stand before its fields, `hidden` fields that are left out."""
    parts = list(first)
    for field in dataclasses.fields(value):
        own = getattr(value, field.name, None)
        if field.name not in hidden and not _is_default(own, field.default):
            parts.append(f"{field.name}={short(own)}")
    return f"{name or type(value).__name__}({', '.join(parts)})"


def _is_default(own: Any, default: Any) -> bool:
    if own is default:
        return True
    if default is None or not concrete(own) or not concrete(default):
        return isinstance(own, str | tuple) and own == default
    return np.ndim(own) == 0 and bool(own == default)


def counts(names: Iterable[str]) -> str:
    """`189 converged, 11 pruned`, the most frequent first."""
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name.lower()}" for name, count in ordered)


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]], bold: int | None = None
) -> str:
    """An HTML table; every text is escaped, the row numbered `bold` stands out."""
    lines = [f'<table style="{STYLE}">', f"<caption>{escape(caption)}</caption>"]
    lines.append("<thead><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>")
    lines.append("</thead><tbody>")
    for number, row in enumerate(rows):
        style = ' style="font-weight:bold"' if number == bold else ""
        cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in row)
        lines.append(f"<tr{style}>{cells}</tr>")
    return "\n".join([*lines, "</tbody></table>"])
