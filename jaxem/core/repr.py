"""Texts for a prompt and tables for a notebook."""

import dataclasses
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, TypeGuard

import jax
import numpy as np
from jax.core import Tracer

from jaxem.core.types import Number

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

#: Arrays of more numbers than this show dtype and shape instead.
FEW = 8

#: A quiet table on a white or dark page; notebooks bring their own fonts.
STYLE = "border-collapse:collapse;text-align:right;font-variant-numeric:tabular-nums"


def concrete(*values: object) -> bool:
    """Whether all values are numbers that this process can read: no tracers, no shapes without
    data, no deleted arrays, no arrays with parts on other hosts."""
    return all(_at_hand(value) for value in values)


def _at_hand(value: object) -> TypeGuard[Number]:
    if isinstance(value, Tracer) or not hasattr(value, "__array__"):
        return isinstance(value, bool | int | float)
    if isinstance(value, jax.Array):
        here = value.is_fully_addressable and not value.is_deleted()
        return here and isinstance(value.dtype, np.dtype)  # a random key has another kind of dtype
    return True


def shape_text(value: object) -> str:
    """dtype and shape, `float32[8, 2]`; also of tracers."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", ())
    return type(value).__name__ if dtype is None else f"{dtype}{list(shape)}"


def short(value: object) -> str:
    """Numbers and small arrays with few digits, larger arrays as dtype and shape, else the repr."""
    if not hasattr(value, "dtype"):
        return f"{value:.6g}" if isinstance(value, float) else repr(value)
    if not _at_hand(value) or np.size(value) > FEW or np.size(value) == 0:
        return shape_text(value)
    return _nested(np.asarray(value))


def _nested(array: np.ndarray) -> str:
    if array.ndim == 0:
        value = array.item()
        large = 1e3 <= abs(value) < 1e15 if array.dtype.kind == "f" else False
        text = f"{value:.2f}" if large else f"{value:.4g}"
        return text if array.dtype.kind == "f" else str(value)
    return "[" + ", ".join(_nested(part) for part in array) + "]"


def total(value: float) -> str:
    """A log-likelihood: six digits, and never fewer than hundredths."""
    return f"{value:.6g}" if abs(value) < 1e4 or abs(value) > 1e15 else f"{value:.2f}"


def constructor(
    value: "DataclassInstance",
    name: str | None = None,
    first: Sequence[str] = (),
    hidden: Sequence[str] = (),
) -> str:
    """A dataclass as the call that makes it, without fields that have their default, arrays short.
    `first`: arguments before the fields. `hidden`: fields that are left out."""
    parts = list(first)
    for field in dataclasses.fields(value):
        part = getattr(value, field.name, None)
        if field.name not in hidden and not _is_default(part, field.default):
            parts.append(f"{field.name}={short(part)}")
    return f"{name or type(value).__name__}({', '.join(parts)})"


def _is_default(value: object, default: object) -> bool:
    if value is default:
        return True
    if default is None or not _at_hand(value) or not _at_hand(default):
        return isinstance(value, str | tuple) and value == default
    return np.ndim(value) == 0 and bool(value == default)


def counts_text(counts: Mapping[str, int]) -> str:
    """`189 converged, 11 pruned`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name.lower()}" for name, count in ordered)


@dataclasses.dataclass(frozen=True)
class Table:
    """Titles, rows of cells, and the number of the row that stands out."""

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    best: int | None = None

    def without(self, *titles: str) -> "Table":
        """The table without the columns of these titles."""
        kept = [j for j, title in enumerate(self.head) if title not in titles]
        rows = [[row[j] for j in kept] for row in self.rows]
        return Table([self.head[j] for j in kept], rows, self.best)

    def html(self, caption: str) -> str:
        """An HTML table; every text is escaped, the best row is bold."""
        lines = [f'<table style="{STYLE}">', f"<caption>{escape(caption)}</caption>"]
        titles = "".join(f"<th>{escape(title)}</th>" for title in self.head)
        lines += [f"<thead><tr>{titles}</tr>", "</thead><tbody>"]
        for number, row in enumerate(self.rows):
            style = ' style="font-weight:bold"' if number == self.best else ""
            cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in row)
            lines.append(f"<tr{style}>{cells}</tr>")
        return "\n".join([*lines, "</tbody></table>"])

    def plain(self, mark: str) -> str:
        """Lines of text, columns right-justified; `mark` stands behind the best row."""
        lines = [[str(cell) for cell in line] for line in (self.head, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        pairs = (zip(line, widths, strict=True) for line in lines)
        texts = ["  ".join(cell.rjust(width) for cell, width in pair) for pair in pairs]
        if self.best is not None:
            texts[1 + self.best] += f"  {mark}"
        return "\n".join(texts)
