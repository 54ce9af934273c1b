"""The settings of "Step by step", what its controls offer, and the layer that is walked through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import streamlit as st

from attnviz.analysis.provenance import worked_example
from attnviz.analysis.provenance.steps import layer_provenance
from attnviz.analysis.provenance.terms import Provenance
from attnviz.browser import provenance_message
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.intervention import Intervention, MaskName
from attnviz.web import cache, shell, store
from attnviz.web.components.provenance_view import Cell, cells, reported, wanted_layer
from attnviz.web.lesson import Lesson
from attnviz.web.settings_link import from_query

KEY = "walk"  # of the view
STEPS = (
    *("x", "embnorm", "n", "q", "k", "v", "split", "turn", "scores", "scaled", "mask", "softmax", "values", "concat"),
    *("out", "r", "m", "c", "mc", "n2", "h", "a", "f", "s", "y", "final"),
)
MASKS = {"own": "as built", "causal": "causal (only the past)", "none": "none"}
PATH = re.compile(r"[\w.]{1,16}:\d{1,6}:\d{1,6}(/[\w.]{1,16}:\d{1,6}:\d{1,6}){0,31}|")
LABELS = "step_by_step:masks"  # what the mask "as built" was last called in the list
KEYS = ("K", "Kr", "V")  # matrices whose rows are words that are looked at
BETWEEN = ("scores", "scaled", "bias", "mask", "masked", "weights")  # whose columns are
OF_A_HEAD = ("Q", "Qr", "K", "Kr", "V", "W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V")
SHARED = ("W_", "b_", "γ_", "β_", "S")  # the same for every word


@dataclass(frozen=True)
class Settings:
    """What the page shows; every field is a parameter of its address.

    An address with `query` and `key` and without a path, as other pages write it, opens on the weight between them.
    """

    of: str = "hand"  # or "text": the sidebar's text in the sidebar's model
    hand_head: int = 0  # of the example, which has no part in what the reader looks at elsewhere
    layer: int = 0
    head: int = 0
    query: int = 10  # the word of the text that is followed: “it” in the first one
    key: int = -1  # the word that it looks at; −1: none was chosen
    mask: str = "own"
    step: str = "x"
    path: str = ""  # cells "matrix:row:column", the chosen one first
    edits: str = ""  # of the example's weights

    def __post_init__(self) -> None:
        for name, allowed in (("of", ("hand", "text")), ("mask", tuple(MASKS)), ("step", STEPS)):
            if getattr(self, name) not in allowed:
                raise InvalidParameterError(f"{name}={getattr(self, name)!r} is not one of {', '.join(allowed)}")
        if not (0 <= self.layer < 512 and 0 <= self.head < 512 and 0 <= self.hand_head < 512):
            raise InvalidParameterError(f"layer {self.layer} or head {self.head} is out of range")
        if not (0 <= self.query < 100_000 and -1 <= self.key < 100_000):
            raise InvalidParameterError(f"query {self.query} or key {self.key} is out of range")
        if not PATH.fullmatch(self.path):
            raise InvalidParameterError("the path is no list of cells")
        worked_example.read_edits(self.edits)


def sidebar() -> shell.Inputs:
    """Model and text of the sidebar, which the example by hand does not read: unchecked."""
    return shell.Inputs(st.session_state["model"] or "minilm", st.session_state["text"])


def sources() -> dict[str, str]:
    """The numbers that can be walked through, by value of `Settings.of`."""
    model = sidebar().model
    title = cache.title(model).split(" (")[0]
    return {"hand": "By hand: 4 numbers a word", "text": f"Your text in {title}"}


def masks(lesson: Lesson[Settings], settings: Settings) -> dict[str, str]:
    """The masks by value of `Settings.mask`, with what "as built" is here."""
    causal = settings.of == "hand" or cache.model(sidebar().model).transformer.config.kind == "decoder"
    own = f"as built ({'causal' if causal else 'none'})"
    if st.session_state.get(LABELS) not in (None, own):  # a list goes on showing the old name of what stays chosen
        lesson.choose(mask=settings.mask)
    st.session_state[LABELS] = own
    return MASKS | {"own": own}


# ---- the number that is looked at ----------------------------------------------------------------------


def read_link() -> None:
    """Completes an address before the lesson reads it.

    With a query and a key it opens on the weight between them; with a path, on the path's words.
    """
    linked: dict[str, str] | None = st.session_state.get("linked")
    if not linked:
        return
    if {"query", "key"} <= linked.keys() and "path" not in linked:
        cell = f"{linked.get('head', '0')}:{linked['query']}:{linked['key']}"
        linked |= {"of": "text", "step": "softmax", "path": f"weights.{cell}"}
    if linked.get("of", "hand") == "hand" and "head" in linked:  # as addresses were written once
        linked["hand_head"] = linked.pop("head")
    path = from_query(Settings(), linked).path
    if path and linked.get("of") == "text":
        first = cells(path)[0]
        key = key_of(first)
        if first[0] not in KEYS and not first[0].startswith(SHARED):
            linked.setdefault("query", str(first[1]))
        if key is not None:
            linked.setdefault("key", str(key))


def take_report(lesson: Lesson[Settings]) -> None:
    """What the reader did in the view becomes the page's settings."""
    view, wanted = reported(KEY), wanted_layer(KEY)
    if wanted is not None:
        lesson.choose(layer=wanted[0], path=wanted[1])
    elif view is not None:
        by_hand = view.row < 0  # there no word is followed
        lesson.choose(
            step=view.step, path=view.path, edits=view.edits, **{"hand_head" if by_hand else "head": view.head}
        )
        if not by_hand:
            lesson.choose(query=view.row)
            chosen = next(iter(cells(view.path)), None)
            if chosen is not None and (key := key_of(chosen)) is not None:
                lesson.choose(key=key)


def key_of(cell: Cell) -> int | None:
    """The word that is looked at in a cell; None where there is none."""
    name, row, col = cell
    if name in KEYS:
        return row
    return col if name.partition(".")[0] in BETWEEN else None


def follow(
    lesson: Lesson[Settings], settings: Settings, labels: Sequence[str], special: Sequence[bool], width: int
) -> None:
    """Keeps the chosen word in another text, or takes another: the path then begins at the same number of that word.

    The same for another head; `width` is that of one.
    """
    query = lesson.follow_token("query", labels, special)
    key = lesson.follow_token("key", labels, special, noun="key")
    if not settings.path:
        return
    first = cells(settings.path)[0]
    name, row, col = _in_head(first, settings.head, width)
    if name in KEYS:
        row = key if key >= 0 else row
    elif not name.startswith(SHARED):
        row, col = query, key if key >= 0 and key_of(first) is not None else col
    if (name, row, col) != first:
        lesson.choose(path=f"{name}:{row}:{col}")


def _in_head(cell: Cell, head: int, width: int) -> Cell:
    """The same number of a head; the cell itself where it belongs to none."""
    name, row, col = cell
    stem, _, owner = name.partition(".")
    if owner:
        return f"{stem}.{head}", row, head * width + col % width if stem in ("z", "AV") else col
    return (name, row, head * width + col % width) if name in OF_A_HEAD else cell


# ---- the layer that is walked through ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Shown:
    """One layer's numbers, as the page shows them."""

    provenance: Provenance
    head: int  # of those that there are
    row: int  # the word that the reader looks at
    message: bytes  # what the view draws
    settings: Settings  # on what this model and this text have
    inputs: shell.Inputs | None = None  # what was run; None for the example by hand

    @property
    def beside(self) -> tuple[object, ...]:
        """What the parts of the page beside the view depend on."""
        return self.head, self.row, replace(self.settings, step="x", path="")

    @property
    def traced(self) -> int | None:
        """The word whose weight from the row the reader traces; None where the number is another."""
        (name, row, key), *_ = cells(self.settings.path) or [("", -1, -1)]
        return key if (name, row) == (f"weights.{self.head}", self.row) else None


def run(lesson: Lesson[Settings], settings: Settings) -> Shown:
    """The layer that the settings ask for; ends the page with a sentence if the sidebar's model cannot run its text."""
    if settings.of == "hand":
        return _by_hand(settings)
    inputs = lesson.inputs()
    try:
        model = cache.model(inputs.model)
        config, encoding = model.transformer.config, model.tokenizer.encode(inputs.text)
        layer, head = min(settings.layer, config.n_layers - 1), min(settings.head, config.n_heads - 1)
        if (layer, head) != (settings.layer, settings.head):
            lesson.choose(layer=layer, head=head)
        follow(lesson, lesson.settings(), encoding.labels, encoding.special, config.head_dim)
        return _in_model(inputs, lesson.settings())
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(f"{error}. Choose another model in the sidebar.")


def run_again(lesson: Lesson[Settings], drawn: Shown) -> Shown:
    """The same text in the same model after what the reader did in the view."""
    settings = lesson.settings()
    return _by_hand(settings) if drawn.inputs is None else _in_model(drawn.inputs, settings)


def _by_hand(settings: Settings) -> Shown:
    """The example whose weights were chosen by hand."""
    example = worked_example.by_hand(settings.edits, settings.mask)
    head, path = min(settings.hand_head, worked_example.HEADS - 1), cells(settings.path)
    is_word = path and path[0][0] in example.matrices and example[path[0][0]].axes[0] in ("query", "key")
    row = min(path[0][1] if is_word else 1, len(example.labels) - 1)
    return Shown(example, head, row, _hand_message(settings.edits, settings.mask, head), settings)


def _in_model(inputs: shell.Inputs, settings: Settings) -> Shown:
    """A layer of the sidebar's model. Errors: those of the model."""
    of = (inputs.model, inputs.text, settings.layer, settings.mask)
    provenance = _model_provenance(*of)
    near = provenance_message.columns(provenance, cells(settings.path), settings.query)
    message = _model_message(*of, settings.head, tuple(near.items()))
    return Shown(provenance, settings.head, settings.query, message, settings, inputs)


@lru_cache(maxsize=64)
def _hand_message(edits: str, mask: str, head: int) -> bytes:
    """The example by hand for the browser."""
    more = {"editable": list(worked_example.WEIGHTS), "limit": worked_example.LARGEST}
    return provenance_message.pack(worked_example.by_hand(edits, mask), head, more=more)


@store.kept()
def _model_provenance(model: str, text: str, layer: int, mask: str) -> Provenance:
    """One layer of the model's run on a text, under the mask in that layer."""
    change = None if mask == "own" else Intervention(mask=cast(MaskName, mask), layers=layer)
    return layer_provenance(cache.model(model).transformer, cache.trace(model, text, change), layer)


@store.kept()
def _model_message(model: str, text: str, layer: int, mask: str, head: int, near: tuple[tuple[str, int], ...]) -> bytes:
    """The same for the browser."""
    return provenance_message.pack(_model_provenance(model, text, layer, mask), head, near=dict(near))
