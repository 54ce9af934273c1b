"""Explore's view: what the reader chose in it or brought along, the change that it asks for, and the run it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NoReturn

import streamlit as st

from attnviz.analysis import cards_file, cards_text
from attnviz.browser.view_state import ViewState
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.nn.intervention import Intervention
from attnviz.web import cache, shell, thread
from attnviz.web.components import attention_view
from attnviz.web.heads import state as heads
from attnviz.web.settings_link import from_query, to_query

KEY = "explore"  # of the view
FIRST_LOOK = ViewState(layer=3, head=1, queries=(10,))  # MiniLM on the first example: "it" finds "animal"
_SEEN = f"{KEY}:seen"


@dataclass(frozen=True, eq=False)
class Shown:
    """What is on screen."""

    view: ViewState
    change: Intervention | None  # to the whole model, if the reader asked for one
    run: cache.Run  # with the change
    message: bytes  # for the view: of this run, or of the one without a change where the view runs the model by itself


def run(inputs: shell.Inputs) -> Shown:
    """The run that the view asks for; ends the page with a sentence if this model cannot run this text."""
    try:
        shell.one_text(inputs.model)
        plain = cache.run(inputs.model, inputs.text, None)
        view = chosen_view(inputs, plain.labels).clamp(plain.n_layers, plain.n_heads, plain.n_tokens)
        change = view.to_intervention() if view.whole else None
        if change is None or change.changes_nothing:
            return Shown(view, change, plain, plain.message)
        changed = cache.run(inputs.model, inputs.text, change)
        message = (plain if attention_view.runs(KEY, inputs.model) else changed).message
        return Shown(view, change, changed, message)
    except (InvalidParameterError, ModelError) as error:
        shell.refuse(str(error))


def open_lesson() -> None:
    """Opens the page that the reader asked for about a cell, on this cell."""
    asked = attention_view.asked(KEY)
    seen: _Seen | None = st.session_state.get(_SEEN)
    if asked is None or seen is None:
        return
    where = {"layer": str(asked.layer), "head": str(asked.head)}
    if asked.about == "head":
        thread.choose(layer=asked.layer, head=asked.head)
        _open("heads", heads.Settings(), where, seen.inputs)
    if asked.about == "off":
        from attnviz.web.what_if import state as what_if  # not when the app starts

        thread.choose(layer=asked.layer, head=asked.head)
        _open("what_if", what_if.Settings(), where | {"how": "zero"}, seen.inputs)
    query, key = _word(seen.labels, asked.query), _word(seen.labels, asked.key)
    thread.choose(layer=asked.layer, head=asked.head, query=query, key=key)
    if asked.about == "trace":
        from attnviz.web.step_by_step import state as step_by_step  # not when the app starts

        cell = {"of": "text", "step": "softmax", "path": f"weights.{asked.head}:{asked.query}:{asked.key}"}
        _open("step_by_step", step_by_step.Settings(), where | cell | {"mask": asked.mask}, seen.inputs)
    if asked.about == "temperature":
        from attnviz.web.softmax import state as softmax

        temperature = {} if asked.temperature == "1" else {"temperature": asked.temperature}
        _open("softmax", softmax.Settings(), where | temperature, seen.inputs, query=str(asked.query))


def _open(page: str, first: Any, settings: dict[str, str], inputs: shell.Inputs, **words: str) -> NoReturn:
    """Goes to a lesson with settings, and with `words` whose positions stand in its address whatever they are."""
    settings = to_query(first, from_query(first, settings)) | words
    st.switch_page(f"pages/{page}.py", query_params=shell.link_to(inputs, settings))


def cards(model: str) -> list[list[str]] | None:
    """What each head is for in a sentence, where that is known over many texts."""
    stored = heads.judged(model)
    return None if stored is None else _said(stored)


@lru_cache(maxsize=16)
def _said(stored: cards_file.Stored) -> list[list[str]]:
    found, where = stored.cards.roles, cards_text.judged_on(len(stored.texts), stored.is_sample)
    return [
        [cards_text.short(found, layer, head, where) for head in range(len(row))]
        for layer, row in enumerate(found.names)
    ]


# ---- what the view shows ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """What the page showed in its last run."""

    view: ViewState
    inputs: shell.Inputs
    labels: tuple[str, ...]  # of the text's tokens


def chosen_view(inputs: shell.Inputs, labels: Sequence[str]) -> ViewState:
    """What the view shows: what the reader chose in it, or its link, or the page's first look.

    A new text or model keeps the head, the settings, and the chosen words where they stand in it too. From another
    page it goes on with what the reader looked at there; what he chooses here, the other pages go on with.
    """
    state = st.session_state
    linked, arrived = state.pop("linked", None), state.pop("arrived", False)
    seen: _Seen | None = state.get(_SEEN)
    view = first = FIRST_LOOK if inputs == shell.Inputs("minilm", shell.first_text()) else ViewState()
    if linked:
        view = ViewState.from_query(linked)
        _tell(ViewState(), view, labels)
    elif linked is None:
        if seen is not None:
            view = attention_view.current_state(KEY, seen.view)
            _tell(seen.view, view, seen.labels)
            if seen.inputs != inputs:
                view = carried(view, seen.labels, labels)
        if arrived:
            own = None if seen is None else _word(seen.labels, seen.view.key)
            view = followed(view, labels, own)
    if KEY not in state or view != attention_view.current_state(KEY, first):
        attention_view.choose_state(KEY, view)
    state[_SEEN] = _Seen(view, inputs, tuple(labels))
    return view


def carried(view: ViewState, before: Sequence[str], labels: Sequence[str]) -> ViewState:
    """The view of a text with the tokens `before` on another: its words where they stand there, none of its cells."""

    def moved(position: int) -> int | None:
        known = position < len(before)
        return thread.position_of(labels, thread.word_at(before, position)) if known else None

    queries = dict.fromkeys(place for query in view.queries if (place := moved(query)) is not None)
    key = None if view.key is None else moved(view.key)
    if not queries and (view.side == "q" or key is None):
        key = None
    side = view.side if queries or key is not None else "q"
    return replace(view, queries=tuple(queries), key=key, side=side, painted=(), sentences=None, zoom=None)


def followed(view: ViewState, labels: Sequence[str], own_key: thread.Word | None = None) -> ViewState:
    """The view on the layer, the head and the words that the reader chose on another page.

    `own_key` is the key that was chosen here: it belongs to the query that was chosen here.
    """
    chosen = thread.current()
    if chosen.layer is not None:
        view = replace(view, layer=chosen.layer)
    if chosen.head is not None:
        view = replace(view, head=chosen.head)
    query = None if chosen.query is None else thread.position_of(labels, chosen.query)
    if query is not None and query not in view.queries:
        view = replace(view, queries=(query,), key=None, side="q")
    key = None if chosen.key in (None, own_key) else thread.position_of(labels, chosen.key)
    return view if key is None else replace(view, key=key, side="q" if view.queries else "k")


def _tell(before: ViewState, after: ViewState, labels: Sequence[str]) -> None:
    """Notes for the other pages what the reader chose since."""
    if (after.layer, after.head) != (before.layer, before.head):
        thread.choose(layer=after.layer, head=after.head)
    if (after.queries, after.key) != (before.queries, before.key):
        query = after.queries[0] if after.queries else None
        thread.choose(query=_word(labels, query), key=_word(labels, after.key))


def _word(labels: Sequence[str], position: int | None) -> thread.Word | None:
    return None if position is None or position >= len(labels) else thread.word_at(labels, position)
