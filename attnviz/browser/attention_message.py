"""A trace as one binary message for the browser: queries and keys, from which the view derives every weight.

    u32 length of the header | header (JSON, padded to 8 bytes) | per layer: q (H, T, D), k (H, S, D) | masks

All little-endian. The message grows with the length of the text, not with its square. `frontend/attention/unpack.js`
reads it.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.errors import InvalidParameterError, ShapeError
from attnviz.formatting import counted
from attnviz.nn.attention import AttentionTrace

if TYPE_CHECKING:
    from torch import Tensor

    from attnviz.nn.encoding import Encoding
    from attnviz.nn.intervention import Intervention
    from attnviz.nn.masks import Mask
    from attnviz.nn.trace import Trace

VERSION = 1
EXACT_TOKENS = 64  # up to here float32 is sent, above it float16
STACKS = ("self", "cross", "encoder")
_LARGEST_HALF = 65504.0
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

    Up to 64 tokens q and k are float32; above, float16 (weights within 0.0021 at 512 tokens and temperature
    1), unless a value exceeds float16's range. Errors: InvalidParameterError for a stack or a text that the
    trace does not have, or a name that is not one; ShapeError for scores of another shape.
    """
    payload = _Payload()
    header = _describe(trace, payload, title=title, name=name, batch=batch, stack=stack)
    if before is not None:
        header["before"] = _describe(before, payload, title=title, name=name, batch=batch, stack=stack)
    header["scores"] = _scores(scores or {}, [layer["heads"] for layer in header["layers"]])
    text = json.dumps(header, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    text += b" " * (-(4 + len(text)) % 8)
    return b"".join([len(text).to_bytes(4, "little"), text, *payload.parts])


def _scores(scores: Mapping[str, Any], heads: Sequence[int]) -> dict[str, list[list[float | None]]]:
    """Scores by name as nested lists; what is not a finite number becomes null."""
    found = {}
    for name, values in scores.items():
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) or name in ("layer", "weights", *_OWN_SCORES):
            raise InvalidParameterError(f"scores: {name!r} is not a free lower-case name of at most 32 letters")
        table = np.asarray(values, dtype=np.float64)
        if table.shape != (len(heads), max(heads)):
            raise ShapeError(f"scores[{name!r}] has shape {table.shape}, not (L, H) = {(len(heads), max(heads))}")
        found[name] = [[float(f"{x:.6g}") if math.isfinite(x) else None for x in row] for row in table]
    return found


class _Payload:
    """Arrays one after the other, each at a multiple of 8 bytes."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0

    def add(self, *arrays: np.ndarray) -> int:
        """Appends arrays back to back and returns where they start."""
        at = self.length
        for array in arrays:
            self.parts.append(array.tobytes())
            self.length += array.nbytes
        rest = -self.length % 8
        self.parts.append(b"\0" * rest)
        self.length += rest
        return at


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
    found = [layer.cross_attention if stack == "cross" else layer.attention for layer in trace.layers]
    present = [attention for attention in found if attention is not None]
    if not present:
        raise InvalidParameterError(f"stack={stack!r}, but no layer of this trace has such attention")
    return present


def _describe(trace: Trace, payload: _Payload, *, title: str, name: str, batch: int, stack: str) -> dict[str, Any]:
    layers = attentions(trace, stack)
    rows, _, n_queries, width = layers[0].q.shape
    n_keys = layers[0].k.shape[2]
    if not 0 <= batch < rows:
        raise InvalidParameterError(f"batch={batch}, but the trace holds {rows} texts (from 0)")
    own = trace.source if stack == "encoder" else trace
    assert own is not None
    texts = _Texts(_encoding(own, batch), n_queries, "")
    sources = _Texts(_encoding(trace.source, batch), n_keys, "key") if stack == "cross" else None
    if sources is None and n_keys != n_queries:  # learned or zero keys that stand behind the tokens
        sources = _Texts(_encoding(own, batch), n_keys, "key")
    qk = [(_rows(layer.q, batch), _rows(layer.k, batch)) for layer in layers]
    half = max(n_queries, n_keys) > EXACT_TOKENS and all(_fits_half(q) and _fits_half(k) for q, k in qk)
    tables = _Tables(payload, batch)
    change = own.intervention
    unscaled = change is not None and not change.scaled
    return {
        "version": VERSION,
        "title": title or own.title,
        "name": name,
        "stack": stack,
        "dtype": "f2" if half else "f4",
        "d": width,
        **texts.header(),
        **({} if sources is None else sources.header()),
        "layers": [
            _layer(layer, q, k, "<f2" if half else "<f4", payload, tables, unscaled)
            for layer, (q, k) in zip(layers, qk, strict=True)
        ],
        "masks": tables.masks,
        "biases": tables.biases,
        "intervention": None if change is None else in_words(change),
        "before": None,
    }


def _rows(x: Tensor, batch: int) -> np.ndarray:
    return x[batch].detach().float().cpu().numpy()


def _fits_half(x: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        return not bool((np.abs(x[np.isfinite(x)]) > _LARGEST_HALF).any())


def _layer(
    layer: AttentionTrace,
    q: np.ndarray,
    k: np.ndarray,
    dtype: str,
    payload: _Payload,
    tables: _Tables,
    unscaled: bool,
) -> dict[str, Any]:
    broken = ~(np.isfinite(q).all(axis=(1, 2)) & np.isfinite(k).all(axis=(1, 2)))
    switched_off = unscaled and layer.scale == 1.0
    return {
        "heads": q.shape[0],
        "at": payload.add(q.astype(dtype), k.astype(dtype)),
        "scale": layer.scale,
        "base": 1 / math.sqrt(q.shape[-1]) if switched_off else layer.scale,
        "temperature": layer.temperature,
        "mask": tables.mask(layer.mask),
        "bias": None if layer.bias is None else tables.bias(layer.bias),
        "alibi": None if layer.alibi is None else layer.alibi.tolist(),
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
            alibi = None if attention.alibi is None else attention.alibi[:1]
            attention = replace(attention, q=attention.q[:, :1], k=attention.k[:, :1], alibi=alibi)
        layers.append(replace(one, attention=attention))
    return replace(trace, layers=tuple(layers))


class _Tables:
    """Masks and biases that several layers share: written once, referred to by number."""

    def __init__(self, payload: _Payload, batch: int) -> None:
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


class _Texts:
    """What the view shows of one side's tokens; positions stand in for labels that are missing."""

    def __init__(self, encoding: Encoding | None, n_tokens: int, prefix: str) -> None:
        self.encoding, self.n_tokens, self.prefix = encoding, n_tokens, prefix

    def header(self) -> dict[str, Any]:
        """The columns of the tokens, the words, the sentences and the script, under this side's names."""
        columns = ["tokens", "words", "sentences", "dir", "cjk"]
        names = columns if not self.prefix else ["keys", *(self.prefix + column.capitalize() for column in columns[1:])]
        return dict(zip(names, self._columns(), strict=True))

    def _columns(self) -> list[Any]:
        encoding, n = self.encoding, self.n_tokens
        if encoding is None:
            tokens = {"labels": [str(i) for i in range(n)], "words": [-1] * n, "special": [], "continues": []}
            return [tokens, [], [], "ltr", False]
        own = min(n, len(encoding))
        labels = [*encoding.labels[:own], *["[PAD]"] * (n - own)]
        words = [-1 if word is None else word for word in encoding.words[:own]] + [-1] * (n - own)
        special = [i for i in range(n) if i >= own or encoding.special[i]]
        continues = [i for i in range(own) if encoding.continues[i]]
        tokens = {"labels": labels, "words": words, "special": special, "continues": continues}
        return [
            tokens,
            list(encoding.word_texts),
            sentence_spans(encoding),
            direction(encoding.text),
            is_cjk(encoding.text),
        ]


_END_OF_SENTENCE = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s|$)|[。！？]+[」』”’）]*|[\n\r\u2028\u2029]+""")


def sentence_spans(encoding: Encoding) -> list[list[int]]:
    """Token ranges [start, end) of the sentences; special tokens stand outside, and end one.

    A sentence ends at . ! ? … before white space, at their full-width forms, and at a line break.
    """
    ends = [match.end() for match in _END_OF_SENTENCE.finditer(encoding.text)]
    spans: list[list[int]] = []
    open_until = -1  # where in the text the open sentence ends; -1: none is open
    for i, (start, _) in enumerate(encoding.offsets):
        if encoding.special[i]:
            open_until = -1
            continue
        if start >= open_until:
            open_until = next((end for end in ends if end > start), len(encoding.text) + 1)
            spans.append([i, i])
        spans[-1][1] = i + 1
    return spans


def direction(text: str) -> str:
    """ "rtl" if most letters with a direction run from right to left (Hebrew, Arabic …), else "ltr"."""
    kinds = [unicodedata.bidirectional(character) for character in text]
    return "rtl" if sum(kind in ("R", "AL") for kind in kinds) > kinds.count("L") else "ltr"


_CJK = re.compile(
    "[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)


def is_cjk(text: str) -> bool:
    """Whether most letters are Chinese, Japanese or Korean."""
    return 2 * len(_CJK.findall(text)) > sum(character.isalpha() for character in text)


def in_words(intervention: Intervention) -> str:
    """What an intervention changes, in words; empty if nothing."""
    parts: list[str] = []
    if intervention.temperature != 1.0:
        parts.append(f"temperature {intervention.temperature:g}")
    if not intervention.scaled:
        parts.append("scores not divided by √d")
    if intervention.mask == "causal":
        parts.append("causal mask")
    elif intervention.mask == "none":
        parts.append("no mask")
    elif intervention.mask is not None:
        parts.append(f"mask: a window of {intervention.mask[1]}")
    if intervention.blocked:
        parts.append(f"{counted(len(intervention.blocked), 'cell')} blocked")
    for layer, head, factor in intervention.head_scale:
        where = f"head {head}" if layer is None else f"layer {layer}, head {head}"
        parts.append(f"{where} off" if factor == 0 else f"{where} × {factor:g}")
    if intervention.positions is not None:
        parts.append(f"positions: {intervention.positions}")
    if parts and intervention.layers is not None:
        parts.append("only in " + _layers_in_words(intervention.layers))
    if parts and intervention.where != "all":
        parts.append(f"only in the {intervention.where}{'-attention' * (intervention.where == 'cross')}")
    return "; ".join(parts)


def _layers_in_words(layers: Sequence[int]) -> str:
    numbers = ", ".join(map(str, layers))
    return f"layer {numbers}" if len(layers) == 1 else f"layers {numbers}" if layers else "no layer"
