"""Where a layer's numbers come from, as one message: the browser traces cells by the same rules as `Provenance.terms`.

A frame (`browser.framing`) whose payload holds the matrices' numbers, row by row, as float32, or as float64 where the
model computes in that. `frontend/provenance/read.js` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from attnviz.analysis.provenance.terms import TOLERANCE, Matrix, Provenance
from attnviz.browser.framing import Payload, frame
from attnviz.errors import InvalidParameterError

VERSION = 1
WHOLE = 32  # up to this model width every head is sent, above it the chosen head and all heads' z


def pack(provenance: Provenance, head: int, *, more: Mapping[str, Any] | None = None) -> bytes:
    """The message for one head. `more`: further plain values for the header, such as what may be edited.

    Above a width of 32 only the chosen head's columns of W_Q, W_K, W_V, Q, K and V go along: the browser asks for
    another head when the reader traces into it. Errors: InvalidParameterError for a head that is not there.
    """
    if not 0 <= head < provenance.n_heads:
        raise InvalidParameterError(f"head {head} of {provenance.n_heads} (counted from 0)")
    payload, described = Payload(), []
    for matrix in provenance.matrices.values():
        part = matrix if provenance["concat"].width <= WHOLE else _of_head(matrix, head, provenance.width)
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


def _of_head(matrix: Matrix, head: int, width: int) -> Matrix | None:
    """The part of a matrix that one head works with; None if it is another head's."""
    _, _, owner = matrix.name.partition(".")
    if owner:
        return matrix if int(owner) == head else None
    if matrix.axes[1] != "inner" or matrix.name == "concat":
        return matrix
    first = head * width
    return replace(matrix, values=matrix.values[:, first : first + width], first=first, width=matrix.width)


def _little(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype="<f8" if values.dtype == np.float64 else "<f4")
