"""Parts of the page "Masks": its settings, the mask that they describe, and what it did, in words."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st
import torch
from torch import Tensor

from attnviz.analysis import causality
from attnviz.browser import attention_message
from attnviz.browser.painted_cells import read_cells, write_cells
from attnviz.browser.view_state import MOST_PAINTED, ViewState
from attnviz.errors import InvalidParameterError
from attnviz.figures import Palette
from attnviz.models.model import Model
from attnviz.nn import mask_patterns
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import cache
from attnviz.web.components import attention_view
from attnviz.web.lesson import Lesson

VIEWS = ("before", "after", "change")  # the matrices, each under the key "masks-…"
PASSED = "masks:passed"
MOST_PADS = 16  # of [PAD] drawn one by one
KINDS = {
    "trained": "As trained",
    "none": "None",
    "causal": "Causal",
    "window": "Local window",
    "block": "Blocks",
    "strided": "Strided",
    "prefix": "Prefix",
    "painted": "Painted by hand",
}
SIZED: dict[str, Callable[..., Tensor]] = {
    "window": mask_patterns.window,
    "block": mask_patterns.block,
    "strided": mask_patterns.strided,
    "prefix": mask_patterns.prefix,
}
LARGEST = 16  # of n
OTHER_TEXTS = ("Birds sing at dawn.", "Yes.")  # the rest of the padded batch


@dataclass(frozen=True)
class Settings:
    """What the reader chose on the page; tokens, layers and heads count from 0."""

    mask: str = "causal"
    n: int = 2
    layer: int = 3
    head: int = 1
    token: int = 10  # the query locked in the matrices, and the key; −1: none
    key: int = -1
    zoom: tuple[int, ...] = ()
    painted: str = ""  # the cells hidden by hand, as `attnviz.browser.painted_cells` writes them
    guess: str = ""
    position: int = 13  # of the word that is exchanged
    word: str = causality.WORDS[0]
    leak_guess: str = ""
    row: int = 2  # of the batch

    def __post_init__(self) -> None:
        read_cells(self.painted, MOST_PAINTED)
        if self.mask not in KINDS:
            raise InvalidParameterError(f"mask={self.mask!r} is not one of {', '.join(KINDS)}")
        if not 1 <= self.n <= LARGEST:
            raise InvalidParameterError(f"n={self.n} is outside 1…{LARGEST}")
        if min(self.layer, self.head, self.position, self.token + 1, self.key + 1) < 0:
            raise InvalidParameterError("layers, heads and positions count from 0")
        if not 0 <= self.row <= len(OTHER_TEXTS):
            raise InvalidParameterError(f"row={self.row} is outside 0…{len(OTHER_TEXTS)}")
        self.look()

    def look(self) -> ViewState:
        """What the matrices show."""
        return ViewState(
            layer=self.layer,
            head=self.head,
            queries=() if self.token < 0 else (self.token,),
            key=None if self.key < 0 else self.key,
            side="k" if self.token < 0 <= self.key else "q",
            zoom=self.zoom or None,  # type: ignore[arg-type]  # its length is checked there
            painted=read_cells(self.painted, MOST_PAINTED),
        )


def pattern(kind: str, n_tokens: int, n: int, causal: bool) -> Tensor:
    """The keep array (T, T) of a mask with a size n.

    In a `causal` model window, blocks and strides stay causal; a prefix is what it is in any model.
    """
    keep = SIZED[kind](n_tokens, 1, n) if kind == "strided" else SIZED[kind](n_tokens, n)
    return keep & mask_patterns.causal(n_tokens) if causal and kind != "prefix" else keep


def intervention(chosen: Settings, n_tokens: int, causal: bool) -> Intervention | None:
    """The mask as a change to the run; None for the model as trained. Cells beyond the text are left out."""
    if chosen.mask == "trained":
        return None
    if chosen.mask in ("none", "causal"):
        return Intervention(mask=chosen.mask)
    if chosen.mask == "window":  # the same cells by their formula: faster
        return Intervention(mask=("window", chosen.n))
    if chosen.mask == "painted":
        cells = read_cells(chosen.painted, MOST_PAINTED)
        return Intervention(blocked=[cell for cell in cells if max(cell) < n_tokens])
    hidden = ~pattern(chosen.mask, n_tokens, chosen.n, causal)
    return Intervention(mask="none", blocked=[tuple(cell) for cell in hidden.nonzero().tolist()])


def allowed(trace: Trace) -> Tensor:
    """Bool (T, T): the pairs (query, key) that a run allowed in its layers."""
    attention = trace.layers[0].attention
    size = attention.q.shape[2]
    keep = attention.keep
    everything = torch.ones(size, size, dtype=torch.bool)
    return everything if keep is None else keep.broadcast_to(1, attention.q.shape[1], size, size)[0, 0]


def adopt(lesson: Lesson[Settings], n_layers: int, n_heads: int) -> Settings:
    """The settings, with what the reader did in one of the matrices since they were drawn, and within the model."""
    chosen, passed = lesson.chosen(), st.session_state.get(PASSED)
    if passed is not None and passed == chosen.look():  # else a control or a link has the last word
        for view in VIEWS:
            seen = attention_view.current_state(f"masks-{view}", passed)
            if any(getattr(seen, part) != getattr(passed, part) for part in ("queries", "key", "zoom", "painted")):
                lesson.choose(
                    token=seen.queries[-1] if seen.queries else -1,
                    key=-1 if seen.key is None else seen.key,
                    zoom=seen.zoom or (),
                    painted=write_cells(seen.painted),
                )
                break
    if chosen.layer >= n_layers or chosen.head >= n_heads:
        lesson.choose(layer=min(chosen.layer, n_layers - 1), head=min(chosen.head, n_heads - 1))
    return lesson.chosen()


@dataclass(frozen=True, eq=False)
class Effect:
    """One text under one mask, beside the model as trained."""

    plain: Trace
    trace: Trace
    keep: Tensor  # bool (T, T), the pairs (query, key) that the mask allows
    moved: tuple[float, ...]  # of each final vector, ‖x′ − x‖ / ‖x‖


def effect(chosen: Settings, name: str, text: str) -> Effect:
    """What the mask that was chosen does. Errors: as `Model.run`."""
    return _effect(name, text, *_mask(chosen))


def _mask(chosen: Settings) -> tuple[str, int, str]:
    """The settings that say which mask it is: its kind, and n or the painted cells if they matter."""
    return chosen.mask, chosen.n if chosen.mask in SIZED else 1, chosen.painted if chosen.mask == "painted" else ""


@st.cache_resource(max_entries=12, show_spinner=False)
def _effect(name: str, text: str, mask: str, n: int, painted: str) -> Effect:
    plain, model = cache.trace(name, text), cache.model(name)
    chosen, n_tokens = Settings(mask=mask, n=n, painted=painted), plain.final.shape[1]
    change = intervention(chosen, n_tokens, plain.config.kind == "decoder")
    # its thousands of blocked cells would be a slow key of the shared cache; the small ones are there already
    trace = model.run(text, intervention=change) if change and change.blocked else cache.trace(name, text, change)
    return Effect(plain, trace, allowed(trace), tuple(causality.final_change(plain, trace)[0].tolist()))


@st.cache_resource(max_entries=24, show_spinner=False)
def _messages(name: str, text: str, mask: tuple[str, int, str], layer: int) -> dict[str, bytes]:
    """What each of the matrices is sent. A mask is painted with the run before it at hand: else what to take back?"""
    found = _effect(name, text, *mask)
    before, after = (attention_message.one_layer(run, layer) for run in (found.plain, found.trace))
    change = attention_message.pack(after, name=name, before=before)
    shown = change if mask[0] == "painted" else attention_message.pack(after, name=name)
    return {"before": attention_message.pack(before, name=name), "after": shown, "change": change}


def matrices(chosen: Settings, name: str, text: str) -> None:
    """One head before, after, and the difference; the one in the middle is where a mask is painted."""
    state = st.session_state[PASSED] = chosen.look()
    painting, where = chosen.mask == "painted", f"Layer {chosen.layer}, head {chosen.head}"
    titles = {"before": f"{where}, as trained", "after": KINDS[chosen.mask], "change": "The difference"}
    messages = _messages(name, text, _mask(chosen), chosen.layer)
    for column, view in zip(st.columns(3, gap="medium"), VIEWS, strict=True):
        paint = painting and view == "after"
        with column:
            attention_view.attention_view(
                messages[view],
                replace(state, diff=view == "change", mask="painted" if paint else "model"),
                key=f"masks-{view}",
                compact=True,
                title="Paint here" if paint else titles[view],
                paint=paint,
            )


def hidden_column(key: int, n_tokens: int) -> str:
    """Every pair in which another token looks at `key`, as `Settings.painted`."""
    return write_cells((query, key) for query in range(n_tokens) if query != key)


def last_word(encoding: Encoding) -> int:
    """The position of the last token that is not special (of the last at all, if all are)."""
    plain = [i for i, special in enumerate(encoding.special) if not special]
    return plain[-1] if plain else len(encoding) - 1


def exchange(model: Model, old_id: int, word: str) -> tuple[int, str]:
    """The id to put in the place of another, and a sentence where it cannot be the reader's word."""
    found = causality.word_id(model.tokenizer, word) if word.strip() else None
    if found is not None and found != old_id:
        return found, ""
    new_id = causality.replacement(model.tokenizer, old_id)
    name = causality.token_label(model.tokenizer, new_id)
    if found is None:
        return new_id, f"− “{word}” is not one token of this model’s vocabulary; “{name}” stands in its place."
    return new_id, f"− “{word}” is the word that stands there; “{name}” takes its place."


def token_rows(encodings: Sequence[Encoding], palette: Palette) -> str:
    """The batch as HTML: a row of tokens per text, filled up with [PAD]; every token is escaped."""
    longest = max(map(len, encodings))
    chip = f"border:1px solid {palette.line};border-radius:6px;padding:1px 8px;color:{palette.ink1}"
    pad = f"border:1px dashed {palette.line};border-radius:6px;padding:3px 6px;color:{palette.ink2};font:13px monospace"
    rows = []
    for number, encoding in enumerate(encodings):
        missing = longest - len(encoding)
        chips = [f'<span style="{chip}"><bdi>{html.escape(label)}</bdi></span>' for label in encoding.labels]
        many = missing > MOST_PADS
        chips += [f'<span style="{pad}">[PAD]{f" × {missing}" if many else ""}</span>'] * (1 if many else missing)
        rows.append(
            f'<div style="color:{palette.ink2};font-size:14px;margin:12px 0 4px">Text {number}: {len(encoding)} '
            f"tokens{f' and {missing} [PAD]' if missing else ''}</div>"
            f'<div style="display:flex;flex-wrap:wrap;gap:4px">{"".join(chips)}</div>'
        )
    return "".join(rows)
