"""Sets of (query, key) cells as a short text for a link: rectangles, as in "2.0-3_5-8.1"."""

import re
from collections.abc import Iterable, Iterator

from attnviz.errors import InvalidParameterError

Cells = tuple[tuple[int, int], ...]
_RECTANGLE = re.compile(r"(\d{1,7})(?:-(\d{1,7}))?\.(\d{1,7})(?:-(\d{1,7}))?", re.ASCII)


def write_cells(cells: Iterable[tuple[int, int]]) -> str:
    """Queries, a dot, keys; ranges hold both ends: {(2, 0), (2, 1), (3, 0), (3, 1)} is "2-3.0-1"."""
    return "_".join(f"{_range(*queries)}.{_range(*keys)}" for queries, keys in _rectangles(set(cells)))


def read_cells(text: str, most: int) -> Cells:
    """The cells of a text, sorted. Errors: InvalidParameterError for any other text, or for more than `most` cells."""
    cells: set[tuple[int, int]] = set()
    for part in text.split("_") if text else []:
        match = _RECTANGLE.fullmatch(part)
        if match is None:
            raise InvalidParameterError(f"{part!r} is not queries.keys, as in 2.0-3")
        q0, q1, k0, k1 = (int(number or first) for number, first in zip(match.groups(), "0" * 4, strict=True))
        q1, k1 = (q0 if match[2] is None else q1), (k0 if match[4] is None else k1)
        if q1 < q0 or k1 < k0 or (q1 - q0 + 1) * (k1 - k0 + 1) > most:
            raise InvalidParameterError(f"{part!r} holds no cell, or more than {most}")
        cells.update((q, k) for q in range(q0, q1 + 1) for k in range(k0, k1 + 1))
        if len(cells) > most:
            raise InvalidParameterError(f"more than {most} cells")
    return tuple(sorted(cells))


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _runs(cells: set[tuple[int, int]]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Per query its unbroken runs of keys, as (query, (first, last))."""
    for query, key in sorted(cells):
        if (query, key - 1) not in cells:
            last = key
            while (query, last + 1) in cells:
                last += 1
            yield query, (key, last)


def _rectangles(cells: set[tuple[int, int]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Runs of keys that neighbouring queries share become one rectangle, as (queries, keys)."""
    open_until: dict[tuple[int, int], tuple[int, int]] = {}  # keys → the queries of the rectangle that grows
    done = []
    for query, keys in _runs(cells):
        first, last = open_until.get(keys, (query, query))
        if keys in open_until and last != query - 1:
            done.append(((first, last), keys))
            first = query
        open_until[keys] = (first, query)
    return sorted(done + [(queries, keys) for keys, queries in open_until.items()])
