"""A trace as one message for the browser: queries and keys, from which the view derives every weight.

A frame (`browser.framing`) whose payload holds, per layer, q (H, T, D) and k (H, S, D), then the masks and biases. It
grows with the length of the text, not with its square. `frontend/attention/unpack.js` reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.browser.framing import Payload, frame
from attnviz.browser.intervention_text import intervention_text
from attnviz.browser.token_columns import token_columns
from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.nn.attention import AttentionTrace

if TYPE_CHECKING:
    from torch import Tensor

    from attnviz.nn.encoding import Encoding
    from attnviz.nn.masks import Mask
    from attnviz.nn.trace import Trace

VERSION = 1
LONGEST_NAME = 240  # characters of the text that a picture names
STACKS = ("self", "cross", "encoder")
_OWN_SCORES = ("entropy", "previous", "next", "self", "first", "special", "induction")  # frontend/attention/scores.js


def pack(
    trace: Trace,
    *,
    title: str = "",
    name: str = "",
    before: Trace | None = None,
    batch: int = 0,
    stack: str = "self",
    scores: Mapping[str, Any] | None = None,
    rows: Encoding | None = None,
) -> bytes:
    """The message for one text of a trace.

    Arguments
        title: the model's name for people, the trace's own by default; name: its name for `attnviz.load`.
        before: a run of the same text to compare with, packed after the first.
        batch: which text of a padded batch, counted from 0.
        stack: "self" the attention among the trace's own tokens, "cross" from target (queries) to source
            (keys), "encoder" the source's own attention in an encoder-decoder model.
        scores: a number per head, (L, H), by name, which the reader may choose as order or colour of the heads;
            names are lower-case words joined by "-". NaN or infinite: this head has none.
        rows: what names the queries where that is not the tokens they were made of: a decoder's answer, say.

    q and k are float32: float16 would move weights by up to 0.1 at the lowest temperature of the view's dial, and by
    0.16 without the factor 1/√d (MiniLM, 266 tokens). Errors: InvalidParameterError for a stack or a text that the
    trace does not have, or a name that is not one; ShapeError for scores of another shape.
    """
    payload = Payload()
    about: dict[str, Any] = {"title": title, "name": name, "batch": batch, "stack": stack, "named": rows}
    header = _describe(trace, payload, **about)
    if before is not None:
        header["before"] = _describe(before, payload, **about)
    header["scores"] = _scores(scores or {}, [layer["heads"] for layer in header["layers"]])
    return frame(header, payload)


def _scores(scores: Mapping[str, Any], heads: Sequence[int]) -> dict[str, list[list[float | None]]]:
    """Scores by name as nested lists; what is not a finite number becomes null."""
    tables = {}
    for name, values in scores.items():
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) or name in ("layer", "weights", *_OWN_SCORES):
            raise InvalidParameterError(f"scores: {name!r} is not a free lower-case name of at most 32 letters")
        table = np.asarray(values, dtype=np.float64)
        if table.shape != (len(heads), max(heads)):
            raise ShapeError(f"scores[{name!r}] has shape {table.shape}, not (L, H) = {(len(heads), max(heads))}")
        tables[name] = [[float(f"{x:.6g}") if math.isfinite(x) else None for x in row] for row in table]
    return tables


def attentions(trace: Trace, stack: str) -> list[AttentionTrace]:
    """The layers' attentions of one stack ("self", "cross" or "encoder"), first layer first.

    Errors: InvalidParameterError if the trace has no such stack.
    """
    if stack not in STACKS:
        raise InvalidParameterError(f"stack={stack!r} is not one of {', '.join(STACKS)}")
    if stack == "encoder":
        if trace.source is None:
            raise InvalidParameterError("stack='encoder', but this trace has no encoder of its own")
        return attentions(trace.source, "self")
    records = [layer.cross_attention if stack == "cross" else layer.attention for layer in trace.layers]
    present = [attention for attention in records if attention is not None]
    if not present:
        raise InvalidParameterError(f"stack={stack!r}, but no layer of this trace has such attention")
    return present


def _describe(
    trace: Trace, payload: Payload, *, title: str, name: str, batch: int, stack: str, named: Encoding | None
) -> dict[str, Any]:
    layers = attentions(trace, stack)
    rows, _, n_queries, width = layers[0].q.shape
    n_keys = layers[0].k.shape[2]
    if not 0 <= batch < rows:
        raise InvalidParameterError(f"batch={batch}, but the trace holds {rows} texts (from 0)")
    side = trace.source if stack == "encoder" else trace
    assert side is not None
    tokens = token_columns(named or _encoding(side, batch), n_queries)
    if stack == "cross" or named or n_keys != n_queries:  # other tokens, or learned or zero keys behind the same ones
        seen = trace.source if stack == "cross" else side
        tokens |= token_columns(_encoding(seen, batch), n_keys, keys=True)
    tables = _Tables(payload, batch)
    change = side.intervention
    unscaled = change is not None and not change.scaled
    return {
        "version": VERSION,
        "title": title or side.title,
        "name": name,
        "stack": stack,
        "d": width,
        "text": _beginning(_encoding(side, batch)),
        **tokens,
        "layers": [_layer(layer, batch, payload, tables, unscaled) for layer in layers],
        "masks": tables.masks,
        "biases": tables.biases,
        "intervention": None if change is None else intervention_text(change),
        "before": None,
    }


def _beginning(encoding: Encoding | None) -> str:
    """A text as a picture names it: on one line, and of a long one the beginning."""
    text = " ".join(encoding.text.split()) if encoding is not None else ""
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]} …"


def _rows(x: Tensor, batch: int) -> np.ndarray:
    return x[batch].detach().float().cpu().numpy()


def _layer(layer: AttentionTrace, batch: int, payload: Payload, tables: _Tables, unscaled: bool) -> dict[str, Any]:
    q, k = (_rows(x, batch) for x in (layer.q, layer.k))
    broken = ~(np.isfinite(q).all(axis=(1, 2)) & np.isfinite(k).all(axis=(1, 2)))
    switched_off = unscaled and layer.scale == 1.0
    return {
        "heads": q.shape[0],
        "at": payload.add(q.astype("<f4"), k.astype("<f4")),
        "scale": layer.scale,
        "base": 1 / math.sqrt(q.shape[-1]) if switched_off else layer.scale,
        "temperature": layer.temperature,
        "mask": tables.mask(layer.mask),
        "bias": None if layer.bias is None else tables.bias(layer.bias),
        "alibi": None if layer.alibi is None else layer.alibi.tolist(),
        "softcap": layer.softcap,
        "sinks": None if layer.sinks is None else layer.sinks.tolist(),
        "headScale": None if layer.head_scale is None else layer.head_scale.tolist(),
        "groups": layer.groups,
        "broken": np.flatnonzero(broken).tolist(),
    }


def one_layer(trace: Trace, layer: int) -> Trace:
    """The trace with every head of one layer and one head of the others: all that the picture of one head needs."""
    layers = []
    for number, one in enumerate(trace.layers):
        attention = one.attention
        if number != layer:
            alibi, sinks = (None if x is None else x[:1] for x in (attention.alibi, attention.sinks))
            bias = attention.bias
            bias = bias if bias is None or bias.dim() < 3 else bias[..., :1, :, :]
            q, k = attention.q[:, :1], attention.k[:, :1]
            attention = replace(attention, q=q, k=k, alibi=alibi, sinks=sinks, bias=bias)
        layers.append(replace(one, attention=attention))
    return replace(trace, layers=tuple(layers))


class _Tables:
    """Masks and biases that several layers share: written once, referred to by number."""

    def __init__(self, payload: Payload, batch: int) -> None:
        self.payload, self.batch = payload, batch
        self.masks: list[dict[str, Any]] = []
        self.biases: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}

    def mask(self, mask: Mask) -> int:
        """The number of a mask; layers may describe the same one in objects of their own."""
        length = mask.lengths[self.batch] if mask.lengths else None
        bits = [None if part is None else self._one(part) for part in (mask.keys, mask.dense)]
        parts = [None if part is None else (part.shape, part.tobytes()) for part in bits]
        same = (mask.causal, mask.window, length, mask.blocked, mask.extra, *parts)

        def describe() -> dict[str, Any]:
            keys, dense = (None if part is None else self._bits(part) for part in bits)
            return {
                "causal": mask.causal,
                "window": mask.window,
                "length": length,
                "blocked": [list(cell) for cell in mask.blocked],
                "keys": keys,
                "dense": dense,
                "extra": mask.extra,
            }

        return self._number(self.masks, ("mask", same), describe)

    def _bits(self, mask: np.ndarray) -> dict[str, Any]:
        packed = np.packbits(mask.ravel(), bitorder="little")
        return {"shape": mask.shape, "at": self.payload.add(packed)}

    def bias(self, bias: Tensor) -> int:
        """The number of a dense bias, sent as float32 in its own shape (h, t, s); 1 where all share."""
        values = self._one(bias.float()).astype("<f4")

        def describe() -> dict[str, Any]:
            return {"shape": values.shape, "at": self.payload.add(values), "count": values.size}

        return self._number(self.biases, ("bias", values.shape, values.tobytes()), describe)

    def _one(self, x: Tensor) -> np.ndarray:
        x = x.reshape((1,) * (4 - x.dim()) + tuple(x.shape))
        return x[self.batch if x.shape[0] > 1 else 0].detach().cpu().numpy()

    def _number(self, table: list[dict[str, Any]], same: Any, describe: Callable[[], dict[str, Any]]) -> int:
        if same not in self._numbers:
            table.append(describe())
            self._numbers[same] = len(table) - 1
        return self._numbers[same]


def _encoding(trace: Trace | None, batch: int) -> Encoding | None:
    return trace.encodings[batch] if trace is not None and batch < len(trace.encodings) else None
