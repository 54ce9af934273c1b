"""The page "Compare": what the reader has set, the two heads that it stands for, and what was chosen in their maps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from attnviz.analysis import comparison
from attnviz.analysis.comparison import Comparison
from attnviz.browser import attention_message
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace
from attnviz.web import cache, shell, store
from attnviz.web.compare.shown import Shown, Side
from attnviz.web.components import attention_view
from attnviz.web.lesson import LONGEST, Lesson
from attnviz.web.what_if import presets

KINDS = ("text", "head", "change", "model")
CHANGES = ("none", "mask", "temperature", "off")
PLACES = ("layer", "head", "off_layer", "off_head", "off_layer_a", "off_head_a")  # of A's model
PLACES_B = ("layer_b", "head_b")
FIELDS = ("_a", "")  # how the names of A's and of B's fields end
TEMPERATURES = (0.25, 0.5, 2.0, 4.0)
VIEWS = ("a", "b")  # the matrices, each under the key "compare-…"
KEPT = "compare:kept"  # the settings, on other pages too
PASSED = "compare:passed"  # what they were last told to show
STRONGEST = 8
LEAST = 0.001  # a smaller difference of two weights would be written as none


@dataclass(frozen=True)
class Settings:
    """What the reader has set; layers, heads and tokens count from 0."""

    kind: str = "text"  # what B has of its own
    other: str = ""
    layer: int = 3
    head: int = 1
    layer_b: int = 3
    head_b: int = 11
    change: str = "mask"
    temperature: float = 0.5
    off_layer: int = 2
    off_head: int = 0
    change_a: str = "none"  # the same of A's run
    temperature_a: float = 2.0
    off_layer_a: int = 2
    off_head_a: int = 0
    model_b: str = ""
    token: int = 0  # the query locked in both maps, as A has it, and the key; −1: none
    key: int = -1
    token_b: int = -1  # one that only B has
    key_b: int = -1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidParameterError(f"kind={self.kind!r}")
        changes, temperatures = {self.change, self.change_a}, {self.temperature, self.temperature_a}
        if not (changes <= set(CHANGES) and temperatures <= set(TEMPERATURES)):
            raise InvalidParameterError(f"one of {changes} or {temperatures} is not offered")
        off = (self.off_layer, self.off_head, self.off_layer_a, self.off_head_a)
        places = (self.layer, self.head, self.layer_b, self.head_b, *off)
        tokens = (self.token, self.key, self.token_b, self.key_b)
        if min(*places, *(one + 1 for one in tokens)) < 0 or max(*places, *tokens) > 10_000:
            raise InvalidParameterError("a layer, a head or a token is out of range")
        if len(self.other) > shell.TYPED or len(self.model_b) > cache.LONGEST_NAME:
            raise InvalidParameterError("the other text or the other model's name is too long")


# ---- which two ---------------------------------------------------------------------------------------


def begin(lesson: Lesson[Settings], inputs: shell.Inputs) -> None:
    """Before the fields are drawn: settings within the models, and the other text of a text that begins a pair."""
    settings = lesson.settings()
    fits = fitted(settings, inputs)
    lesson.fit(**{field: getattr(fits, field) + 1 for field in (*PLACES, *PLACES_B)})
    if fits.other and not st.session_state.get(lesson.key("other")):  # one too long stays for its reader to shorten
        lesson.choose(other=fits.other)
    if fits.model_b != settings.model_b:
        lesson.choose(model_b=fits.model_b)


def fitted(settings: Settings, inputs: shell.Inputs) -> Settings:
    """The settings brought to what the models have, with the other text of a pair that the text begins.

    `model_b` is "" where no other model is like this one. Errors: as `Model.run`.
    """
    trace = cache.trace(inputs.model, inputs.text)
    counts = dict(zip(PLACES, (len(trace.layers), trace.config.n_heads) * 3, strict=True))
    other, model_b = settings.other, settings.model_b
    if settings.kind == "text" and not other:
        other = presets.partner(inputs.model, inputs.text)
    if settings.kind == "model" and model_b not in (offered := alike(inputs.model)):
        model_b = next(iter(offered), "")
    name = {"head": inputs.model, "model": model_b}.get(settings.kind)
    if name:
        config = cache.model(name).transformer.config
        counts |= zip(PLACES_B, (config.n_layers, config.n_heads), strict=True)
    places = {field: min(getattr(settings, field), count - 1) for field, count in counts.items()}
    return replace(settings, other=other, model_b=model_b, **places)


def sides(settings: Settings, inputs: shell.Inputs) -> tuple[Side, Side, int]:
    """The two heads, and how many tokens of B's text are left out; what B has of its own is what the settings say.

    Errors: as `Model.run`.
    """
    a = Side(inputs.model, inputs.text, None, settings.layer, settings.head)
    match settings.kind:
        case "head":
            return a, replace(a, layer=settings.layer_b, head=settings.head_b), 0
        case "change":
            before, after = (changed(settings, a.model, field) for field in FIELDS)
            return replace(a, change=before), replace(a, change=after), 0
        case "model":
            text, left_out = cache.shortened(settings.model_b, a.text, LONGEST)
            return a, Side(settings.model_b, text, None, settings.layer_b, settings.head_b), left_out
    other, left_out = cache.shortened(a.model, settings.other, LONGEST)
    return a, replace(a, text=other), left_out


def is_causal(name: str) -> bool:
    """Whether a model has a causal mask of its own."""
    return cache.model(name).transformer.config.kind == "decoder"


def changed(settings: Settings, name: str, field: str) -> Intervention | None:
    """The change to a run, B's or A's: `field` is one of FIELDS; None where it runs as trained."""
    of = {one: getattr(settings, f"{one}{field}") for one in ("change", "temperature", "off_layer", "off_head")}
    match of["change"]:
        case "mask":
            return Intervention(mask="none" if is_causal(name) else "causal")
        case "temperature":
            return Intervention(temperature=of["temperature"])
        case "off":
            return Intervention(head_scale={(of["off_layer"], of["off_head"]): 0.0})
    return None


def alike(name: str) -> dict[str, str]:
    """The other models of the list that read text in the same tokens, name → title."""
    own = _vocabulary(name)
    return {one: title for one, title in cache.model_names().items() if one != name and _vocabulary(one) == own}


def _vocabulary(name: str) -> str:
    """What tells a model's tokenizer from others; the untrained ones have MiniLM's."""
    return _fingerprint("minilm" if name.startswith("scratch:") else name)


@store.kept()
def _fingerprint(name: str) -> str:
    return hashlib.sha256(cache.model(name).tokenizer.to_json().encode()).hexdigest()


# ---- what is found, and what is chosen in it -----------------------------------------------------------


def run(side: Side) -> Trace:
    """The run that a head is of. Errors: as `Model.run`."""
    return cache.trace(side.model, side.text, side.change)


@store.kept()
def compared(a: Side, b: Side) -> Comparison:
    """Both heads' weights on the tokens that both texts have. Errors: as `comparison.compare`."""
    return comparison.compare(run(a), (a.layer, a.head), run(b), (b.layer, b.head))


@store.kept()
def message(side: Side) -> bytes:
    """What a matrix is sent."""
    return attention_message.pack(attention_message.one_layer(run(side), side.layer), name=side.model)


def shown(lesson: Lesson[Settings], a: Side, b: Side) -> Shown:
    """What the page shows, with what the reader did in one of the matrices since they were drawn. Errors: as above."""
    found, runs = compared(a, b), (run(a), run(b))
    changes = tuple(comparison.strongest(found, STRONGEST, least=LEAST))
    encoding, n_b = runs[0].encodings[0], runs[1].lengths[0]

    def current() -> Shown:
        settings = lesson.settings()
        query = _both(found, settings.token, settings.token_b, n_b)
        return Shown(settings.kind, a, b, runs, found, changes, query, _both(found, settings.key, settings.key_b, n_b))

    if st.session_state.get(PASSED) == current().looks():  # else a field or a link has the last word
        _adopt(lesson, found, current().looks())
    lesson.follow_token("token", encoding.labels, encoding.special)
    lesson.follow_token("key", encoding.labels, encoding.special, noun="key")
    return current()


def _both(found: Comparison, in_a: int, in_b: int, n_b: int) -> tuple[int, int]:
    """A token as A and as B have it, −1 where one does not: of one that A has, B's is its partner."""
    if in_a < 0 and not 0 <= in_b < n_b:
        return -1, -1
    partner = found.partner(in_b, of="b") if in_a < 0 else found.partner(in_a)
    other = -1 if partner is None else partner
    return (other, in_b) if in_a < 0 else (in_a, other)


def _adopt(lesson: Lesson[Settings], found: Comparison, passed: tuple[ViewState, ViewState]) -> None:
    """What was locked in one matrix since is locked in the other, where it stands there."""
    for name, before in zip(VIEWS, passed, strict=True):
        now = attention_view.current_state(f"compare-{name}", before)
        if (now.queries, now.key) != (before.queries, before.key):
            query, key = now.queries[-1] if now.queries else -1, -1 if now.key is None else now.key
            choose(lesson, found, query, key, of=name)
            return


def choose(lesson: Lesson[Settings], found: Comparison, query: int, key: int, *, of: str = "a") -> None:
    """Locks a query and a key of one of the texts."""
    values: dict[str, Any] = {}
    for field, place in (("token", query), ("key", key)):
        in_a = place if of == "a" else found.partner(place, of="b")
        values |= {field: -1 if in_a is None else in_a, f"{field}_b": place if in_a is None else -1}
    lesson.choose(**values)


def in_explore(side: Side, look: ViewState, *, of_sidebar: bool) -> dict[str, str] | None:
    """The address of Explore with a head's locked cell; None for a run that Explore has not, or too long a text.

    `of_sidebar`: its text is the sidebar's, of which this page may show the beginning.
    """
    change = side.change
    if change is not None and change.head_scale:
        return None
    if change is not None:
        mask = change.mask or "model"
        look = replace(look, temperature=change.temperature, mask=str(mask), whole=True)
    source = st.session_state["text"] if of_sidebar else side.text
    if not shell.fits_link(source) and not of_sidebar:
        return None
    text = {"text": source} if shell.fits_link(source) else {}
    return {"model": side.model, **text, **look.to_query()}
