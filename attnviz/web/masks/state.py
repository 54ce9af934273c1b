"""The settings of the page "Masks", what the reader did in its matrices, and the runs that are kept for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import streamlit as st
from torch import Tensor

from attnviz.analysis import causality
from attnviz.browser import attention_message
from attnviz.browser.painted_cells import read_cells, write_cells
from attnviz.browser.view_state import ViewState
from attnviz.browser.view_values import MOST_PAINTED
from attnviz.errors import InvalidParameterError
from attnviz.models.model import Model
from attnviz.nn.encoding import Encoding
from attnviz.nn.intervention import Intervention, MaskName
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.components import attention_view
from attnviz.web.lesson import Lesson
from attnviz.web.masks import patterns, text

VIEWS = ("before", "after", "change")  # the matrices, each under the key "masks-…"
PASSED = "masks:passed"  # what they were last told to show
INPUTS = "masks:inputs"  # what the tokens in the settings are tokens of
Asked = (
    tuple[str, list[str], str, str] | None
)  # a question as `Lesson.predict` takes it; None: neither is clearly right
LONGEST_WORD = 40  # characters of what is put in the place of a word: more is no token of a vocabulary
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
    position: int = 13  # of the word that is exchanged
    word: str = causality.WORDS[0]
    row: int = 2  # of the batch

    def __post_init__(self) -> None:
        read_cells(self.painted, MOST_PAINTED)
        if self.mask not in patterns.KINDS:
            raise InvalidParameterError(f"mask={self.mask!r} is not one of {', '.join(patterns.KINDS)}")
        if not 1 <= self.n <= patterns.LARGEST:
            raise InvalidParameterError(f"n={self.n} is outside 1…{patterns.LARGEST}")
        if min(self.layer, self.head, self.position, self.token + 1, self.key + 1) < 0:
            raise InvalidParameterError("layers, heads and positions count from 0")
        if not 0 <= self.row <= len(OTHER_TEXTS):
            raise InvalidParameterError(f"row={self.row} is outside 0…{len(OTHER_TEXTS)}")
        if len(self.word) > shell.TYPED:
            raise InvalidParameterError(f"a word of {len(self.word):,} characters")
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


def open_lesson() -> tuple[Lesson[Settings], shell.Inputs]:
    """The lesson, and the model and text that it runs; under other ones what was painted on the old tokens goes."""
    linked = "linked" in st.session_state  # until the lesson takes it: a link comes with the text that it belongs to
    lesson = Lesson("masks", Settings(), follows=("layer", "head"), typed=("word",))
    inputs = lesson.inputs()
    before = st.session_state.get(INPUTS, inputs)
    st.session_state[INPUTS] = inputs
    if not linked and before != inputs:
        lesson.choose(zoom=(), painted="")
    return lesson, inputs


def adopt(lesson: Lesson[Settings], inputs: shell.Inputs) -> Settings:
    """The settings, with what the reader did in one of the matrices since they were drawn, and within the model."""
    settings, passed = lesson.settings(), st.session_state.get(PASSED)
    if passed is not None and passed == settings.look():  # else a control or a link has the last word
        for view in VIEWS:
            now = attention_view.current_state(f"masks-{view}", passed)
            if any(getattr(now, part) != getattr(passed, part) for part in ("queries", "key", "zoom", "painted")):
                lesson.choose(
                    token=now.queries[-1] if now.queries else -1,
                    key=-1 if now.key is None else now.key,
                    zoom=now.zoom or (),
                    painted=write_cells(now.painted),
                )
                break
    config = cache.model(inputs.model).transformer.config
    lesson.fit(layer=config.n_layers, head=config.n_heads)
    encoding = cache.model(inputs.model).encode(inputs.text)
    lesson.follow_token("token", encoding.labels, encoding.special)
    lesson.follow_token("key", encoding.labels, encoding.special, noun="key")
    return lesson.settings()


# ---- the mask and what it does -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Effect:
    """One text under one mask, beside the model as trained."""

    plain: Trace
    trace: Trace
    keep: Tensor  # bool (T, T), the pairs (query, key) that the mask allows
    change: tuple[float, ...]  # of each final vector, ‖x′ − x‖ / ‖x‖
    trained: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """The tokens as a person reads them."""
        return self.plain.encodings[0].labels

    @property
    def causal(self) -> bool:
        """Whether the model has a causal mask of its own."""
        return self.plain.config.kind == "decoder"


def effect(settings: Settings, inputs: shell.Inputs) -> Effect:
    """What the mask that was chosen does. Errors: as `Model.run`."""
    return _effect(inputs.model, inputs.text, *_mask(settings))


def _mask(settings: Settings) -> tuple[str, int, str]:
    """The settings that say which mask it is: its kind, and n or the painted cells if they matter."""
    mask = settings.mask
    return mask, settings.n if mask in patterns.SIZED else 1, settings.painted if mask == "painted" else ""


@store.kept()
def _effect(name: str, text: str, mask: str, n: int, painted: str) -> Effect:
    model = cache.model(name)
    causal = model.transformer.config.kind == "decoder"
    change_of_mask = patterns.intervention(mask, n, painted, n_tokens=len(model.encode(text)), causal=causal)
    plain = cache.trace(name, text)
    if change_of_mask is not None and change_of_mask.blocked:  # its thousands of cells would be a slow name for it
        trace = model.run(text, intervention=change_of_mask)
    else:
        trace = cache.trace(name, text, change_of_mask)
    change = tuple(causality.final_change(plain, trace)[0].tolist())
    return Effect(plain, trace, patterns.allowed(trace), change, model.info.trained)


def messages(settings: Settings, inputs: shell.Inputs) -> dict[str, bytes]:
    """What each of the matrices is sent."""
    return _messages(inputs.model, inputs.text, _mask(settings), settings.layer)


@store.kept()
def _messages(name: str, text: str, mask: tuple[str, int, str], layer: int) -> dict[str, bytes]:
    """By view. A mask is painted with the run before it at hand: else what to take back?"""
    effect = _effect(name, text, *mask)
    before, after = (attention_message.one_layer(run, layer) for run in (effect.plain, effect.trace))
    change = attention_message.pack(after, name=name, before=before)
    shown = change if mask[0] == "painted" else attention_message.pack(after, name=name)
    return {"before": attention_message.pack(before, name=name), "after": shown, "change": change}


def asked_mask(inputs: shell.Inputs) -> str:
    """The mask that the reader is asked about: the one that this kind of model does not have."""
    return "none" if cache.model(inputs.model).transformer.config.kind == "decoder" else "causal"


def answers(inputs: shell.Inputs, mask: str) -> bool:
    """Whether a mask would show the answer: the one that is asked about, and a prefix, which is that one at one end.

    Of 1 token it is the causal mask, of the whole text none.
    """
    return mask in (asked_mask(inputs), "prefix")


def prediction(inputs: shell.Inputs) -> Asked:
    """Which outputs change more under the mask that the reader is asked about."""
    return _prediction(inputs.model, inputs.text, asked_mask(inputs))


@store.kept()
def _prediction(name: str, text_: str, mask: str) -> Asked:
    masked = cache.trace(name, text_, Intervention(mask=cast(MaskName, mask)))
    return text.thirds(cache.trace(name, text_), masked, mask)


# ---- the exchange of a word --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Exchange:
    """One word exchanged for another."""

    inputs: shell.Inputs
    labels: tuple[str, ...]  # of the text
    position: int
    new_id: int
    note: str  # a sentence where it is not the reader's word

    @property
    def open(self) -> causality.ExchangedToken:
        """Without a mask."""
        return exchanged(self.inputs.model, self.inputs.text, self.position, self.new_id, "none")

    @property
    def closed(self) -> causality.ExchangedToken:
        """Under the causal one."""
        return exchanged(self.inputs.model, self.inputs.text, self.position, self.new_id, "causal")


def exchange(lesson: Lesson[Settings], inputs: shell.Inputs) -> Exchange:
    """The exchange that the settings ask for, at a word that this text has."""
    model = cache.model(inputs.model)
    encoding = model.encode(inputs.text)
    position = lesson.follow_token("position", encoding.labels, encoding.special, noun="")
    new_id, note = _new_id(model, encoding.ids[position], lesson.settings().word)
    return Exchange(inputs, encoding.labels, position, new_id, note)


def _new_id(model: Model, old_id: int, word: str) -> tuple[int, str]:
    """The id to put in the place of another, and a sentence where it cannot be the reader's word."""
    is_read = word.strip() and len(word) <= LONGEST_WORD
    word_id = causality.word_id(model.tokenizer, word) if is_read else None
    if word_id is not None and word_id != old_id:
        return word_id, ""
    new_id = causality.replacement(model.tokenizer, old_id)
    stand_in = causality.token_label(model.tokenizer, new_id)
    if len(word) > LONGEST_WORD:
        return new_id, text.too_long(len(word), LONGEST_WORD, stand_in)
    return new_id, text.no_token(word, stand_in) if word_id is None else text.same_token(word, stand_in)


@store.kept()
def exchanged(name: str, text: str, position: int, new_id: int, mask: str) -> causality.ExchangedToken:
    model, change = cache.model(name), Intervention(mask=cast(MaskName, mask))
    own = "causal" if model.transformer.config.kind == "decoder" else "none"
    before = cache.trace(name, text, None if mask == own else change)
    return causality.exchange_token(model, text, position, new_id, change, before=before)


# ---- padding -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Padding:
    """One text of a padded batch, beside the same text alone; pairs are without the padding mask, and with it."""

    encodings: tuple[Encoding, ...]  # of all texts of the batch
    row: int
    head: tuple[int, int]  # layer and head that give [PAD] most without the mask
    shares: tuple[float, float]  # of the text's attention there that [PAD] gets
    changes: tuple[list[float], list[float]]  # of the text's outputs against the text alone
    causal: bool
    messages: tuple[bytes, bytes]  # of that head, for the view

    @property
    def labels(self) -> tuple[str, ...]:
        """The text's tokens as a person reads them."""
        return self.encodings[self.row].labels

    @property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(map(len, self.encodings))


def padding(settings: Settings, inputs: shell.Inputs) -> Padding:
    """The row that the settings ask for of a batch of the sidebar's text and two others."""
    return padded(inputs.model, inputs.text, settings.row)


@store.kept()
def padded(name: str, text: str, row: int) -> Padding:
    model, texts = cache.model(name), (text, *OTHER_TEXTS)
    longest = max(len(model.encode(one)) for one in texts)
    # no text of a batch sees another: of three, the one that is looked at runs
    bare, masked = (causality.padded(model, [texts[row]], masked=one, length=longest) for one in (False, True))
    return read_padded(name, text, row, bare, masked)


def read_padded(name: str, text: str, row: int, bare: Trace, masked: Trace) -> Padding:
    """What the page reads of a padded text's runs."""
    model, texts = cache.model(name), (text, *OTHER_TEXTS)
    alone, share = cache.trace(name, texts[row]), causality.padding_share(bare, 0)
    layer, head = causality.padded_head(share)
    hidden = causality.padding_share(replace(masked, layers=masked.layers[layer : layer + 1]), 0)
    changes = [causality.against_alone(batch, 0, alone).tolist() for batch in (bare, masked)]
    packed = [attention_message.pack(attention_message.one_layer(batch, layer), name=name) for batch in (bare, masked)]
    return Padding(
        tuple(model.encode(one) for one in texts),
        row,
        (layer, head),
        (float(share[layer, head]), float(hidden[0, head])),
        (changes[0], changes[1]),
        alone.config.kind == "decoder",
        (packed[0], packed[1]),
    )
