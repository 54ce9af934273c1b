"""An encoder layer that can be checked by hand: 3 words, 4 numbers each, 2 heads, weights that the reader may change.

Head 0 sends the action to look at the nouns; head 1 looks at whatever stands furthest to the right, which the
causal mask then forbids. Small whole numbers and halves, no biases, norms as they are before any training; the layer
is our own `TransformerEncoderLayer`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import torch

from attnviz.analysis.provenance.steps import block_matrices
from attnviz.analysis.provenance.terms import Given, Matrix, Provenance, Sum
from attnviz.errors import InvalidParameterError
from attnviz.nn.layers import TransformerEncoderLayer
from attnviz.nn.masks import Mask

WORDS = ("cats", "chase", "mice")
HEADS = 2
LARGEST = 1000.0  # a weight lies between −1000 and 1000: nothing that follows leaves what floats can hold
MASKS = ("own", "causal", "none")

# columns: noun, action, size, place in the sentence
EMBEDDING = ((1, 0, 2, 0), (0, 1, 0, 0), (1, 0, -1, 0))
PLACES = ((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 0, 2))
WEIGHTS: dict[str, tuple[tuple[float, ...], ...]] = {  # (in, out): a row per number of x, a column per number of Q
    "W_Q": ((0, 1, 0, 1), (2, 0, 0, 1), (0, 0, 0, 0), (0, 0, 1, 0)),
    "W_K": ((2, 0, 0, 1), (0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)),
    "W_V": ((0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 0, 0), (0, 0, 0, 0.5)),
    "W_O": ((1, 0, 0, 0), (0, 1, 0, -1), (0, 1, 1, 0), (0, 0, 0, 2)),
    "W_1": ((1, -1, 0, 0, 0, 0), (0, 0, 1, 0, 0, -1), (0, 0, 0, 1, -1, 0), (0, 0, 0, 0, 0, 1)),  # 6 hidden numbers
    "W_2": ((0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 2, 0), (0, 0, 1, 0), (0, -1, 0, 0), (1, 0, 0, 0)),
}

Edits = Mapping[tuple[str, int, int], float]
_NUMBER = re.compile(r"[+-]?(\d{1,9}(\.\d{0,9})?|\.\d{1,9})(e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
_FRACTION = re.compile(r"([+-]?\d{1,6})\s*/\s*(\d{1,6})", re.ASCII)
_PLACE = re.compile(r"(W_[QKVO12])\.([0-5])\.([0-5])")


def number(text: str) -> float:
    """The weight that a reader typed: "2", "−0.5", "1/3". Errors: InvalidParameterError in one sentence."""
    plain = text.strip().replace("−", "-")
    fraction = _FRACTION.fullmatch(plain)
    if fraction and int(fraction[2]):
        value = int(fraction[1]) / int(fraction[2])
    elif _NUMBER.fullmatch(plain):
        value = float(plain)
    else:
        raise InvalidParameterError(f"“{text[:20]}” is not a number. Write it as 2, −0.5 or 1/3.")
    if abs(value) > LARGEST:
        raise InvalidParameterError(
            f"{text.strip()[:20]} is outside −1000 … 1000, the weights that this example takes."
        )
    return value


def read_edits(text: str) -> dict[tuple[str, int, int], float]:
    """What was changed, from "W_Q.0.1:1/2,W_O.3.3:-1" (matrix, row, column). Errors: InvalidParameterError."""
    edits = {}
    for part in filter(None, text.split(",")):
        place, _, value = part.partition(":")
        named = _PLACE.fullmatch(place)
        if named is None or int(named[2]) >= len(WEIGHTS[named[1]]) or int(named[3]) >= len(WEIGHTS[named[1]][0]):
            raise InvalidParameterError(f"“{place[:20]}” is no weight of this example")
        edits[named[1], int(named[2]), int(named[3])] = number(value)
    return edits


@lru_cache(maxsize=64)
def by_hand(edits: str = "", mask: str = "own") -> Provenance:
    """The example, with some weights changed.

    Arguments
        edits: as for `read_edits`.
        mask: "own" (causal), "causal" or "none".

    All numbers are float64. Errors: InvalidParameterError for edits or a mask that it cannot take.
    """
    if mask not in MASKS:
        raise InvalidParameterError(f"mask={mask!r} is not one of {', '.join(MASKS)}")
    causal = mask != "none"
    layer = encoder_layer(read_edits(edits))
    start = [
        Matrix("E", "E", np.array(EMBEDDING, dtype=np.float64), ("query", "model"), Given("token", (0, 1, 2), 3)),
        Matrix("P", "P", np.array(PLACES, dtype=np.float64), ("query", "model"), Given("position", (0, 1, 2), 3)),
    ]
    start.append(Matrix("x", "x", start[0].values + start[1].values, ("query", "model"), Sum(("E", "P"))))
    with torch.inference_mode():
        trace = layer.trace(torch.from_numpy(start[-1].values)[None], mask=Mask(causal=causal))
        matrices = block_matrices(layer, trace, start[-1])
    assert all(math.isfinite(v) for v in matrices[-1].values.flat)
    return Provenance(
        {matrix.name: matrix for matrix in (*start, *matrices)},
        WORDS,
        0,
        1,
        HEADS,
        causal,
        (False,) * len(WORDS),
        (False,) * len(WORDS),
        "The example by hand",
    )


def encoder_layer(edits: Edits | None = None) -> TransformerEncoderLayer:
    """The example's layer, 4 wide with 2 heads and 6 hidden numbers, without biases, in float64."""
    width, hidden = len(EMBEDDING[0]), len(WEIGHTS["W_2"])
    layer = TransformerEncoderLayer(
        width, HEADS, hidden, 0.0, "relu", bias=False, batch_first=True, dtype=torch.float64
    )
    weights = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in WEIGHTS.items()}
    for (name, row, col), value in (edits or {}).items():
        weights[name][row, col] = value
    attention = layer.self_attn
    with torch.no_grad():  # torch keeps a matrix as (out, in)
        attention.in_proj_weight.copy_(torch.cat([weights[f"W_{letter}"].T for letter in "QKV"]))
        for linear, name in ((attention.out_proj, "W_O"), (layer.linear1, "W_1"), (layer.linear2, "W_2")):
            linear.weight.copy_(weights[name].T)
    return layer.eval().requires_grad_(False)
