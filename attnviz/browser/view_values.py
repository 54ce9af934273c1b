"""Kinds of values that a view's state holds: which are legal, and how each is read from and written to a link."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attnviz.browser.painted_cells import read_cells, write_cells
from attnviz.errors import InvalidParameterError

LARGEST_INDEX = 1_000_000  # tokens, layers and heads: nothing real is larger, and a link cannot ask for more
LONGEST_LIST = 64  # tokens or heads selected together
MOST_PAINTED = 4096  # cells blocked by hand: all of 64 × 64
_DECADE = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0)
# What a slider of temperatures steps through: about evenly spaced on a log scale, 1 in the middle.
TEMPERATURES = (
    *(0.05, 0.06, 0.07, 0.08, 0.09),
    *(round(tau / 10, 2) for tau in _DECADE),
    *_DECADE,
    *(10.0, 12.0, 14.0, 16.0, 18.0, 20.0),
)
LONGEST_PAINTING = 4000  # characters of a link; hand-drawn shapes need a few dozen, only scattered dots need more


def write(value: Any) -> str:
    """One value as text that a URL carries unescaped: lists join with "_", pairs with "."."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, tuple):
        return "_".join(".".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in value)
    return str(value)


@dataclass(frozen=True)
class Kind:
    """How one kind of value is checked and read; both raise a ValueError or a KeyError for any other."""

    check: Callable[[Any], Any]  # a value from Python or from the browser's JSON → the value as it is kept
    read: Callable[[str], Any]  # a link's text → what `check` takes
    js: str  # its type in the browser, as JSDoc writes it
    write: Callable[[Any], str] = write  # the value → a link's text
    options: tuple[str, ...] = ()  # all legal values, where they are words of a list
    range: tuple[float, float] | None = None  # the least and the largest legal value, where it is a number


# ---- checks ------------------------------------------------------------------------------------------


def _integer(value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())  # JavaScript has one kind
    if isinstance(value, bool) or not whole:
        raise InvalidParameterError(f"{value!r} is not a whole number")
    if not 0 <= value <= LARGEST_INDEX:
        raise InvalidParameterError(f"{value!r} is not within 0 … {LARGEST_INDEX}")
    return int(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{value!r} is not true or false")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", value):
        raise InvalidParameterError(f"{value!r} is not a short lower-case name")
    return value


def _items(value: Any, most: int, what: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise InvalidParameterError(f"{value!r} is not a list")
    if len(value) > most:
        raise InvalidParameterError(f"{len(value)} {what}, at most {most}")
    return value


def _integers(value: Any, size: int) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or len(value) != size:
        raise InvalidParameterError(f"{value!r} is not a list of {size} whole numbers")
    return tuple(map(_integer, value))


def _distinct(value: Any, check: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(map(check, _items(value, LONGEST_LIST, "entries"))))


def _pair(value: Any) -> tuple[int, ...]:
    return _integers(value, 2)


def _cells(value: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(sorted(set(map(_pair, _items(value, MOST_PAINTED, "painted cells")))))


def _ranges(value: Any) -> tuple[int, ...]:
    ends = _integers(value, 4)
    if ends[0] >= ends[1] or ends[2] >= ends[3]:
        raise InvalidParameterError(f"zoom {ends!r} is empty")
    return ends


# ---- texts of a link ---------------------------------------------------------------------------------


def _read_integer(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text):
        raise InvalidParameterError(f"{text!r} is not a whole number")
    return int(text)


def _read_number(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,24})?(e-?[0-9]{1,3})?", text):
        raise InvalidParameterError(f"{text!r} is not a number")
    return float(text)


def _read_list(text: str) -> list[int]:
    return [_read_integer(part) for part in text[: 8 * LONGEST_LIST].split("_")] if text else []


def _read_pairs(text: str) -> list[list[int]]:
    parts = text[: 16 * LONGEST_LIST].split("_") if text else []
    return [[_read_integer(number) for number in part.split(".")] for part in parts]


def _read_cells(text: str) -> tuple[tuple[int, int], ...]:
    if len(text) > LONGEST_PAINTING:
        raise InvalidParameterError(f"{len(text)} characters, at most {LONGEST_PAINTING}")
    return read_cells(text, MOST_PAINTED)


# ---- kinds -------------------------------------------------------------------------------------------


def one_of(*options: str) -> Kind:
    """A word of a list."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in options:
            raise InvalidParameterError(f"{value!r} is not one of {', '.join(options)}")
        return value

    return Kind(check, str, " | ".join(f'"{option}"' for option in options), options=options)


def number(low: float, high: float) -> Kind:
    """A number within a range, ends included."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidParameterError(f"{value!r} is not a number")
        if not (math.isfinite(value) and low <= value <= high):
            raise InvalidParameterError(f"{value!r} is not within {low:g} … {high:g}")
        return float(value)

    return Kind(check, _read_number, "number", range=(low, high))


def optional(kind: Kind) -> Kind:
    """A value of a kind, or None."""
    return Kind(lambda value: None if value is None else kind.check(value), kind.read, f"{kind.js} | null", kind.write)


INDEX = Kind(_integer, _read_integer, "number")
FLAG = Kind(_flag, lambda text: {"1": True, "0": False}[text], "boolean")
WORD = Kind(_word, str, "string")
INDICES = Kind(lambda value: _distinct(value, _integer), _read_list, "number[]")
PAIR = Kind(_pair, _read_list, "[number, number]")
PAIRS = Kind(lambda value: _distinct(value, _pair), _read_pairs, "[number, number][]")
RANGES = Kind(_ranges, _read_list, "[number, number, number, number]")
CELLS = Kind(_cells, _read_cells, "[number, number][]", write_cells)
