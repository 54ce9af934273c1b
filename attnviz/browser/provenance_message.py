"""Where a layer's numbers come from, as one message: the browser traces cells by the same rules as `Provenance.terms`.

A frame (`browser.framing`) whose payload holds the matrices' numbers, row by row, as float32, or as float64 where the
model computes in that. `frontend/provenance/read.js` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from attnviz.analysis.provenance.terms import TOLERANCE, Matrix, Provenance
from attnviz.browser.framing import Payload, frame
from attnviz.errors import InvalidParameterError

VERSION = 2
WHOLE = 32  # up to this model width all numbers are sent, above it those that the chosen numbers were made of
BLOCK = 16  # columns of W_O, W_1 and W_2 that are then sent

Cell = tuple[str, int, int]


def pack(
    provenance: Provenance, head: int, *, near: Mapping[str, int] | None = None, more: Mapping[str, Any] | None = None
) -> bytes:
    """The message for one head.

    Above a width of 32 only the chosen head's columns of W_Q, W_K, W_V, Q, K and V go along, and 16 columns of W_O, W_1
    and W_2: the browser asks for others when the reader traces into them.

    Arguments
        near: a column of each of the last three that is to be among those sent, as `columns` finds them.
        more: further plain values for the header, such as what may be edited.

    Errors: InvalidParameterError for a head that is not there.
    """
    if not 0 <= head < provenance.n_heads:
        raise InvalidParameterError(f"head {head} of {provenance.n_heads} (counted from 0)")
    payload, described = Payload(), []
    whole = provenance["x"].width <= WHOLE
    for matrix in provenance.matrices.values():
        part = matrix if whole else _part(matrix, head, provenance.width, near or {})
        if part is None:
            continue
        described.append({**_describe(part), "at": payload.add(_little(part.values))})
    header = {
        "version": VERSION,
        "title": provenance.title,
        "layer": provenance.layer,
        "layers": provenance.n_layers,
        "head": head,
        "heads": provenance.n_heads,
        "width": provenance.width,
        "causal": provenance.causal,
        "tolerance": TOLERANCE,
        "labels": list(provenance.labels),
        "special": [i for i, flag in enumerate(provenance.special) if flag],
        "continues": [i for i, flag in enumerate(provenance.continues) if flag],
        "bytes": _little(provenance["x"].values).itemsize,
        "matrices": described,
        **(more or {}),
    }
    return frame(header, payload)


def columns(provenance: Provenance, path: Sequence[Cell], row: int) -> dict[str, int]:
    """The columns of W_O, W_1 and W_2 whose numbers the browser needs, each as the first of its block.

    Those of the last cells of a path that they made; of what stands in no path, the largest number of a token.
    """
    near = {}
    for made, weight in (("out", "W_O"), ("h", "W_1"), ("f", "W_2")):
        if made not in provenance.matrices or weight not in provenance.matrices:
            continue
        on_path = [col for name, _, col in path if name in (made, weight, weight.replace("W", "b"))]
        col = on_path[-1] if on_path else int(np.abs(provenance[made].values[row]).argmax())
        near[weight] = min(col, provenance[weight].width - 1) // BLOCK * BLOCK
    return near


def _describe(matrix: Matrix) -> dict[str, Any]:
    rows, stored = matrix.values.shape
    return {
        "name": matrix.name,
        "symbol": matrix.symbol,
        "axes": matrix.axes,
        "rows": rows,
        "stored": stored,
        "first": matrix.first,
        "width": matrix.width,
        "rule": {"kind": type(matrix.rule).__name__.lower(), **asdict(matrix.rule)},
    }


def _part(matrix: Matrix, head: int, width: int, near: Mapping[str, int]) -> Matrix | None:
    """What of a matrix is sent: the part that one head works with, a block of columns; None if it is another head's."""
    _, _, owner = matrix.name.partition(".")
    if owner:
        return matrix if int(owner) == head else None
    if matrix.axes[1] == "inner" and matrix.name != "concat":
        return _cut(matrix, head * width, width)
    if matrix.name in ("W_O", "W_1", "W_2"):
        return _cut(matrix, near.get(matrix.name, 0), BLOCK)
    return matrix


def _cut(matrix: Matrix, first: int, n: int) -> Matrix:
    return replace(matrix, values=matrix.values[:, first : first + n], first=first, width=matrix.width)


def _little(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype="<f8" if values.dtype == np.float64 else "<f4")
