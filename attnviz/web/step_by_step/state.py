"""The page "Step by step": its settings, and what it says about a walk."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from attnviz.analysis.provenance import worked_example
from attnviz.analysis.provenance.terms import Scale, Walk
from attnviz.errors import InvalidParameterError
from attnviz.formatting import percent
from attnviz.nn import reference

STEPS = ("x", "q", "k", "v", "split", "scores", "scaled", "mask", "softmax", "values", "concat", "out")
MASKS = {"own": "as built", "causal": "causal (only the past)", "none": "none"}
PATH = re.compile(r"[\w.]{1,16}:\d{1,6}:\d{1,6}(/[\w.]{1,16}:\d{1,6}:\d{1,6}){0,23}|")


@dataclass(frozen=True)
class Settings:
    """What the page shows; every field is a parameter of its address."""

    of: str = "hand"  # or "text": the sidebar's text in the sidebar's model
    layer: int = 0
    head: int = 0
    mask: str = "own"
    step: str = "x"
    path: str = ""  # cells "matrix:row:column", the chosen one first
    edits: str = ""  # of the example's weights
    guess: str = ""

    def __post_init__(self) -> None:
        for name, allowed in (("of", ("hand", "text")), ("mask", tuple(MASKS)), ("step", STEPS)):
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}")
        if not (0 <= self.layer < 512 and 0 <= self.head < 512):
            raise InvalidParameterError(f"layer {self.layer} or head {self.head} is out of range")
        if not PATH.fullmatch(self.path):
            raise InvalidParameterError("the path is no list of cells")
        worked_example.read_edits(self.edits)


def row_of(chosen: Settings, found: Walk) -> int:
    """The word that the reader looks at: the row of the number that was chosen, by default the second word."""
    name, _, place = chosen.path.partition("/")[0].partition(":")
    is_word = name in found.matrices and found[name].axes[0] in ("query", "key")
    return min(int(place.split(":")[0]) if is_word else 1, len(found.labels) - 1)


def in_short(found: Walk, head: int, row: int) -> str:
    """What the head does with one word, in a sentence."""
    shares = found[f"weights.{head}"].values[row]
    where = f"In head {head}" if found.n_layers == 1 else f"In layer {found.layer}, head {head}"
    if not shares.any():
        return f"{where}, “{found.labels[row]}” may look at nothing: all its shares, and its result, are 0."
    top = int(shares.argmax())
    whom = "itself" if top == row else f"“{found.labels[top]}”"
    return f"{where}, “{found.labels[row]}” gives {percent(shares[top])} of its attention to {whom}."


def because(found: Walk) -> str:
    """Why a score is as many products as a head is wide."""
    return (
        f"A query and a key of one head have {found.width} numbers each, so a score is {found.width} products, added "
        f"up. The model is {found['concat'].width} wide, and the text has {len(found.labels)} words."
    )


def numpy_shares(found: Walk, head: int) -> np.ndarray:
    """The head's weights (T, T) once more, from its Q, K and V by `attnviz.nn.reference`."""
    own = slice(head * found.width, (head + 1) * found.width)
    q, k, v = (found[name].values[:, own] for name in "QKV")
    mask, scaled = found[f"mask.{head}"].values, found[f"scaled.{head}"].rule
    assert isinstance(scaled, Scale)
    keep = np.isfinite(mask)
    _, weights = reference.attention(q, k, v, keep=keep, bias=np.where(keep, mask, 0.0), scale=scaled.by)
    return weights
