"""Tables of a file to keep: as a page shows them, and once more as CSV behind a link that holds its text."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from attnviz.figures.palette import Palette
from attnviz.figures.theme import ink_on
from attnviz.formatting import csv_bytes


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, the class of its fill ("" for none), what it is for who points at it, and more."""

    text: str
    fill: str = ""
    about: str = ""
    below: str = ""  # a second line


@dataclass(frozen=True)
class Table:
    """A table, and the same with all digits as a file."""

    name: str  # for who cannot see it
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    file: str
    csv: str  # a data: address
    is_map: bool = False


def table(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    file: str,
    fields: Sequence[str],
    lines: Iterable[Sequence[Any]],
    *,
    is_map: bool = False,
) -> Table:
    """`fields` and `lines` are the file's."""
    packed = base64.b64encode(csv_bytes(fields, lines, digits=6)).decode("ascii")
    return Table(
        name, tuple(columns), tuple(map(tuple, rows)), file, f"data:text/csv;charset=utf-8;base64,{packed}", is_map
    )


def fills(palette: Palette) -> list[tuple[str, str, str]]:
    """Class, fill and the ink on it, of a theme: kinds of role, amounts, and signed changes."""
    groups = (("k", (palette.sunken, *palette.categories)), ("s", palette.sequential), ("d", palette.diverging))
    return [(f"{name}{i}", fill, ink_on(fill)) for name, fills in groups for i, fill in enumerate(fills)]


def amount(share: float) -> str:
    """The fill of a share of 1: position √, as everywhere."""
    return "" if not share > 0 else f"s{min(9, round(9 * math.sqrt(min(1.0, share))))}"


def signed(share: float) -> str:
    """The fill of a share of the largest change, −1 … 1."""
    return (
        "" if not math.isfinite(share) else f"d{5 + round(5 * math.copysign(math.sqrt(min(1.0, abs(share))), share))}"
    )
