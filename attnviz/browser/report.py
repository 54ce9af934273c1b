"""A trace to keep: an HTML file with the whole view, arrays for NumPy, a table, the output of a notebook."""

from __future__ import annotations

import base64
import hashlib
import html as html_format
import io
import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from attnviz.browser.attention_message import attentions, pack
from attnviz.browser.bundle import FOLDER, css, javascript
from attnviz.browser.intervention_text import intervention_text
from attnviz.browser.view_state import DEFAULT, ViewState
from attnviz.errors import InvalidParameterError
from attnviz.figures.palette import DARK, LIGHT
from attnviz.formatting import csv_text, percent

if TYPE_CHECKING:
    import jinja2
    from torch import Tensor

    from attnviz.nn.attention import AttentionTrace
    from attnviz.nn.trace import Trace

STACK_TITLES = {"encoder": "the encoder", "self": "the decoder", "cross": "the decoder on the encoder"}
QUESTION = "Where does each word look?"
NOTEBOOK_HEIGHT = 900  # pixels
_STRONGEST = 3  # weights named per head
_LONGEST_LABEL = 40  # characters of a label in the text alternative
_NOT_IN_HTML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def html(
    trace: Trace,
    *,
    title: str = "",
    state: ViewState = DEFAULT,
    before: Trace | None = None,
    batch: int = 0,
    lead: str = "",
) -> str:
    """One self-contained page with the interactive view of a trace; it opens without a network.

    Arguments
        title: of the page; by default the model's title and the start of the text.
        state: what is selected and set when the page opens.
        before: the run to compare with, shown as "as trained".
        batch: which text of a padded batch, counted from 0.
        lead: HTML to stand above the view, made by this library's own templates: nothing in it is escaped here.

    Below the view stands what every head does, in words. The page may load nothing and send nothing: its
    Content-Security-Policy allows this one script only. Errors: InvalidParameterError for a text that the
    trace does not have.
    """
    names = _stacks(trace)
    script = javascript("attention/standalone.js")
    if re.search(r"</script|<!--", script, re.IGNORECASE):
        raise InvalidParameterError("the view's script contains </script or <!--, which would end it early")
    stacks = [
        {
            "name": name,
            "title": STACK_TITLES[name] if len(names) > 1 else "",
            "message": base64.b64encode(pack(trace, before=before, batch=batch, stack=name)).decode("ascii"),
            "layers": _layers_in_words(trace, name, batch),
        }
        for name in names
    ]
    settings = {
        "stacks": [[stack["name"], stack["title"]] for stack in stacks],
        "state": state.to_dict(),
        "question": QUESTION,
    }
    return _template().render(
        title=_plain(title or _title(trace, batch)),
        about=_plain(_about(trace, batch)),
        lead=_plain(lead),
        stacks=stacks,
        settings=json.dumps(settings).replace("<", "\\u003c"),
        css=css(),
        light=LIGHT,
        dark=DARK,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def notebook(trace: Trace) -> str:
    """The same page as the output of a notebook cell: an inline frame that reaches nothing around it."""
    page = html_format.escape(html(trace), quote=True)
    return (
        f'<iframe srcdoc="{page}" title="Attention view" sandbox="allow-scripts allow-downloads" '
        f'style="width:100%;height:{NOTEBOOK_HEIGHT}px;border:0" loading="lazy"></iframe>'
    )


def csv(trace: Trace, layer: int, head: int, *, stack: str = "self", batch: int = 0) -> str:
    """One head's weights as a table (RFC 4180): a row per query, a column per key, labelled "position token".

    Nine digits, so that every float32 reads back exactly. No label begins a formula.
    Errors: InvalidParameterError for a layer, head or text that the trace does not have.
    """
    weights = _head(trace, stack, layer, head, batch)
    queries, keys = _labels(trace, stack, batch)
    fields = ("query", *(f"{i} {label}" for i, label in enumerate(keys)))
    rows = ((f"{i} {queries[i]}", *row) for i, row in enumerate(weights.tolist()))
    return csv_text(fields, rows, digits=9)


def npz(trace: Trace) -> bytes:
    """Everything the run computed as a NumPy archive; read it with numpy.load(…, allow_pickle=False).

    Names: tokens_{text}, ids_{text}; final, logits; and for each layer i
        layer{i}_q, _k, _v, _z  (B, H, T, D);  layer{i}_resid_pre, _resid_mid, _resid_post  (B, T, C);
        layer{i}_scale, _temperature;  layer{i}_keep (bool), _bias, _alibi, _head_scale where there is one;
    so that weights = softmax((q @ kᵀ · scale + bias − alibi·|i − j|) / temperature) over what keep allows.
    Cross-attention is layer{i}_cross_q …; the encoder's arrays begin with source_.
    """
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **_arrays(trace))
    return file.getvalue()


# ---- parts of the page ---------------------------------------------------------------------------


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string((FOLDER / "attention/report.html").read_text("utf-8"))


def _stacks(trace: Trace) -> list[str]:
    crossed = any(layer.cross_attention is not None for layer in trace.layers)
    if trace.source is None or not crossed:
        return ["self"]
    has_self_attention = any(
        layer.attention is not None for layer in trace.layers
    )  # else a recurrence stands in its place
    return ["encoder", "self", "cross"] if has_self_attention else ["encoder", "cross"]


def _title(trace: Trace, batch: int) -> str:
    text = trace.encodings[batch].text if batch < len(trace.encodings) else ""
    start = " ".join(text.split())
    start = start if len(start) <= 60 else start[:60] + "…"
    return ": ".join(part for part in (trace.title or "Attention", start) if part)


def _about(trace: Trace, batch: int) -> str:
    config = trace.config
    parts = [trace.title or config.kind, f"{config.n_layers} layers × {config.n_heads} heads"]
    if batch < len(trace.encodings):
        encoding = trace.encodings[batch]
        cut = f" ({encoding.cut} more were cut off)" if encoding.cut else ""
        parts.append(f"{len(encoding)} tokens{cut}")
    if trace.intervention is not None and intervention_text(trace.intervention):
        parts.append("changed: " + intervention_text(trace.intervention))
    return " · ".join(parts)


def _plain(text: str) -> str:
    """Text that can stand in a page: what UTF-8 or HTML cannot hold becomes U+FFFD."""
    return _NOT_IN_HTML.sub("\ufffd", text)


def _labels(trace: Trace, stack: str, batch: int) -> tuple[list[str], list[str]]:
    """Labels of queries and keys: the tokens as a person reads them, or positions where there are none."""
    layer = attentions(trace, stack)[0]
    side = trace.source if stack == "encoder" and trace.source is not None else trace
    keys = trace.source if stack == "cross" and trace.source is not None else side

    def of(one: Trace, count: int) -> list[str]:
        if batch >= len(one.encodings):
            return [str(i) for i in range(count)]
        known = list(one.encodings[batch].labels[:count])
        return known + ["[PAD]"] * (count - len(known))

    return of(side, layer.q.shape[2]), of(keys, layer.k.shape[2])


def _head(trace: Trace, stack: str, layer: int, head: int, batch: int) -> np.ndarray:
    """Weights (T, S) of one head."""
    layers = attentions(trace, stack)
    if not 0 <= layer < len(layers):
        raise InvalidParameterError(f"layer {layer} of {len(layers)} (counted from 0)")
    rows, heads = layers[layer].q.shape[:2]
    if not 0 <= head < heads:
        raise InvalidParameterError(f"head {head} of {heads} (counted from 0)")
    if not 0 <= batch < rows:
        raise InvalidParameterError(f"batch={batch}, but the trace holds {rows} texts (from 0)")
    return _numbers(layers[layer].weights[batch, head])


def _numbers(x: Tensor) -> np.ndarray:
    return x.detach().float().cpu().numpy()


# ---- the heads in words --------------------------------------------------------------------------


def _layers_in_words(trace: Trace, stack: str, batch: int) -> list[dict[str, Any]]:
    queries, keys = _labels(trace, stack, batch)
    query_names, key_names = ([_short(label, i) for i, label in enumerate(side)] for side in (queries, keys))
    reading = trace.source if stack == "encoder" and trace.source is not None else trace
    special = None
    if stack != "cross" and batch < len(reading.encodings):
        special = np.array(reading.encodings[batch].special, dtype=bool)
    layers = []
    for number, layer in enumerate(attentions(trace, stack)):
        weights = _numbers(layer.weights[batch])
        seen = _seen(layer, batch)
        heads = [
            {"number": head, **_head_in_words(one, seen[head], query_names, key_names, special, stack != "cross")}
            for head, one in enumerate(weights)
        ]
        layers.append({"number": number, "heads": heads})
    return layers


def _short(label: str, position: int) -> str:
    text = _plain(label) or str(position)
    return text if len(text) <= _LONGEST_LABEL else text[:_LONGEST_LABEL] + "…"


def _seen(attention: AttentionTrace, batch: int) -> np.ndarray:
    """(H, T): how many keys each row may see."""
    keep, shape = attention.keep, attention.weights.shape
    if keep is None:
        return np.full(shape[1:3], shape[3])
    return keep.expand(shape)[batch].sum(dim=-1).cpu().numpy()


def _head_in_words(
    weights: np.ndarray,
    seen: np.ndarray,
    queries: list[str],
    keys: list[str],
    special: np.ndarray | None,
    square: bool,
) -> dict[str, Any]:
    """What one head's weights (T, S) do, whose rows may see so many keys: spread, habit, strongest pairs."""
    if not np.isfinite(weights).all():
        return {"spread": "–", "habit": "holds values that are not finite (NaN or infinite)", "pairs": []}
    busy = weights.sum(axis=1) > 0
    logs = np.log2(weights, where=weights > 0, out=np.zeros_like(weights))
    entropy = -(weights * logs).sum(axis=1)[busy]
    flat = weights.ravel()
    some = np.argpartition(flat, -min(_STRONGEST, flat.size))[-_STRONGEST:]
    strongest = some[np.argsort(-flat[some], kind="stable")]
    pairs = [
        {"query": queries[i], "key": keys[j], "share": percent(float(weights[i, j]))}
        for i, j in zip(*np.unravel_index(strongest, weights.shape), strict=True)
        if weights[i, j] > 0
    ]
    spread = 2 ** float(entropy.mean()) if entropy.size else 0.0
    habit = _habit(weights[busy], np.flatnonzero(busy), special, square)
    return {"spread": f"{spread:.1f} of {_range(seen[seen > 0], len(keys))}", "habit": habit, "pairs": pairs}


def _range(seen: np.ndarray, n_keys: int) -> str:
    """How many keys rows may see: 16, or 1 to 16."""
    least, most = (int(seen.min()), int(seen.max())) if seen.size else (n_keys, n_keys)
    return str(most) if least == most else f"{least} to {most}"


def _habit(weights: np.ndarray, rows: np.ndarray, special: np.ndarray | None, square: bool) -> str:
    """Where most of a head's attention goes, measured as its mean share."""
    if not weights.size:
        return "sees nothing"
    shares = {}
    if square:
        for step, name in ((0, "the token itself"), (-1, "the token before"), (1, "the token after")):
            inside = (rows + step >= 0) & (rows + step < weights.shape[1])
            shares[name] = float(weights[np.flatnonzero(inside), rows[inside] + step].sum()) / len(rows)
    if special is not None and special.any():
        shares["special tokens"] = float(weights[:, : len(special)][:, special].sum()) / len(rows)
    elif weights.shape[1] > 2:
        shares["the first token"] = float(weights[:, 0].mean())
    name, share = max(shares.items(), key=lambda item: item[1], default=("", 0.0))
    return f"{percent(share)} to {name}" if share >= 0.25 else "no fixed place"


# ---- arrays --------------------------------------------------------------------------------------


def _arrays(trace: Trace, prefix: str = "") -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for text, encoding in enumerate(trace.encodings):
        arrays[f"{prefix}tokens_{text}"] = np.array(encoding.tokens)
        arrays[f"{prefix}ids_{text}"] = np.array(encoding.ids)
    arrays[f"{prefix}final"] = _numbers(trace.final)
    if trace.logits is not None:
        arrays[f"{prefix}logits"] = _numbers(trace.logits)
    if trace.second_logits is not None:
        arrays[f"{prefix}second_logits"] = _numbers(trace.second_logits)
    for i, layer in enumerate(trace.layers):
        name = f"{prefix}layer{i}"
        for stream in ("resid_pre", "resid_mid", "resid_cross", "resid_post"):
            value = getattr(layer, stream)
            if value is not None:
                arrays[f"{name}_{stream}"] = _numbers(value)
        if layer.attention is not None:
            arrays |= _attention_arrays(layer.attention, name)
        if layer.cross_attention is not None:
            arrays |= _attention_arrays(layer.cross_attention, f"{name}_cross")
    if trace.source is not None:
        arrays |= _arrays(trace.source, f"{prefix}source_")
    return arrays


def _attention_arrays(attention: Any, name: str) -> dict[str, np.ndarray]:
    arrays = {f"{name}_{part}": _numbers(getattr(attention, part)) for part in ("q", "k", "v", "z")}
    arrays[f"{name}_scale"] = np.array(attention.scale)
    arrays[f"{name}_temperature"] = np.array(attention.temperature)
    keep = attention.keep
    if keep is not None:
        arrays[f"{name}_keep"] = keep.cpu().numpy()
    for part in ("bias", "alibi", "head_scale"):
        value = getattr(attention, part)
        if value is not None:
            arrays[f"{name}_{part}"] = _numbers(value)
    return arrays
